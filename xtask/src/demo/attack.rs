//! What an attacker who has the web server tries, and what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Demo;
use super::subscriber::Subscriber;
use crate::failure::{Failure, Result};

/// Changes one byte of what the next update would take: of what people signed, then of the tarball that this names and of
/// every patch that would do in its place (in that order, for what was verified once is not asked for again). `installed`
/// is the release that stays.
pub(super) fn flip_bytes(demo: &Demo<'_>, subscriber: &Subscriber<'_>, installed: u64) -> Result<()> {
    let channel = &demo.channel.name;
    let targets = demo.work.path(format!("site/targets/{channel}"));
    let signed = newest(&demo.work.path("site/metadata"), &format!(".{channel}.json"))?;
    let mut shipped = vec![newest(&targets, ".nixexprs.tar.xz")?];
    shipped.extend(written(&targets, ".zst")?.into_iter().map(|(_, path)| path));
    for files in [vec![signed], shipped] {
        let honest = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
        for (file, bytes) in files.iter().zip(&honest) {
            let mut changed = bytes.clone();
            let place = changed.len() / 2;
            changed[place] ^= 1;
            write(file, &changed)?;
            demo.tell(&format!("A bit of byte {place} of {} is flipped.", shown(demo, file)));
        }
        refused(demo, subscriber, installed)?;
        for (file, bytes) in files.iter().zip(&honest) {
            write(file, bytes)?;
        }
        demo.tell("It is put back.");
    }
    Ok(())
}

/// What the site announces now.
pub(super) fn announced(demo: &Demo<'_>) -> Result<Vec<u8>> {
    read(&timestamp(demo))
}

/// Announces what was announced before, to somebody who has seen newer.
pub(super) fn serve_again(demo: &Demo<'_>, subscriber: &Subscriber<'_>, old: &[u8], installed: u64) -> Result<()> {
    let file = timestamp(demo);
    let honest = read(&file)?;
    write(&file, old)?;
    demo.tell(&format!("{} is as it was before the last release.", shown(demo, &file)));
    refused(demo, subscriber, installed)?;
    write(&file, &honest)?;
    demo.tell("It is put back.");
    Ok(())
}

fn refused(demo: &Demo<'_>, subscriber: &Subscriber<'_>, installed: u64) -> Result<()> {
    let reason = subscriber.ask_for_update()?.refusal()?;
    demo.tell(&format!("Refused: {reason}"));
    subscriber.untouched(installed)
}

fn shown(demo: &Demo<'_>, file: &Path) -> String {
    file.strip_prefix(&demo.work.folder)
        .unwrap_or(file)
        .display()
        .to_string()
}

fn timestamp(demo: &Demo<'_>) -> PathBuf {
    demo.work.path("site/metadata/timestamp.json")
}

/// The file of a folder that was written last, of those whose names end so.
fn newest(folder: &Path, ending: &str) -> Result<PathBuf> {
    let newest = written(folder, ending)?.into_iter().max().map(|(_, path)| path);
    newest.ok_or_else(|| Failure::refused(format!("{} has no file …{ending}", folder.display())))
}

/// The files of a folder whose names end so, and when they were written.
fn written(folder: &Path, ending: &str) -> Result<Vec<(SystemTime, PathBuf)>> {
    let failed = || Failure::io(format!("list {}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_name().to_string_lossy().ends_with(ending) {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            found.push((written.map_err(failed())?, entry.path()));
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Failure::io(format_args!("read {}", path.display())))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Failure::io(format_args!("write {}", path.display())))
}

//! The page that a person, and `nix-channel` before it asks for the tarball, finds at a channel's URL.

use attestation::{ChainId, chain::Release, series::Patched};

/// The page: no script, no image, nothing from elsewhere. It repeats what is signed and proves nothing.
pub fn page(chain: ChainId, release: &Release, signed_by: &[String]) -> String {
    let Release {
        channel,
        sequence,
        commit,
        patched,
        time,
        tree_nar,
        channel_nar,
        ..
    } = release;
    let people: String = signed_by
        .iter()
        .map(|person| format!("<li>{}</li>", escape(person)))
        .collect();
    let origin = match patched {
        None => format!("<code>{commit}</code>, upstream's own"),
        Some(Patched { upstream, patches }) => format!(
            "<code>{commit}</code>: upstream's <code>{upstream}</code> with {}",
            escape(&patches.names())
        ),
    };
    let rows: String = [
        ("Release", format!("{sequence} of {time}")),
        ("Commit", origin),
        ("Tree, narHash", format!("<code>{}</code>", tree_nar.to_sri())),
        ("Channel, narHash", format!("<code>{}</code>", channel_nar.to_sri())),
        (
            "Chain",
            format!("<code>{chain}</code><br>Do not take it from here: ask the channel's people, and compare."),
        ),
    ]
    .into_iter()
    .map(|(name, value)| format!("<tr><th>{name}</th><td>{value}</td></tr>\n"))
    .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{channel}, release {sequence}</title>\n\
         <style>{STYLE}</style></head>\n<body><main>\n<h1>{channel}</h1>\n\
         <p>A signed channel. This page repeats what is signed; it proves nothing. Your machine checks the \
         signatures:</p>\n<pre>touchstone subscribe --url URL --chain CHAIN --channel {channel} \
         --floor-root VERSION --floor-release SEQUENCE</pre>\n\
         <table>\n{rows}</table>\n<h2>Signed by</h2>\n<ul>{people}</ul>\n\
         <h2>Files</h2>\n<ul>\n<li><a href=\"nixexprs.tar.xz\">nixexprs.tar.xz</a></li>\n\
         <li><a href=\"git-revision\">git-revision</a></li>\n</ul>\n</main></body></html>\n"
    )
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\
th{text-align:left;padding-right:1.5rem;vertical-align:top;white-space:nowrap}\
code,pre{font-size:.9em;overflow-wrap:anywhere;white-space:pre-wrap}\
pre{background:#f3f3f1;padding:.6rem .8rem}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_markup() {
        assert_eq!(escape("<b>\"&"), "&lt;b&gt;&quot;&amp;");
    }
}

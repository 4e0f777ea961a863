//! A virtual OpenPGP card: the card application `opcard` on an in-process Trussed, plugged into the virtual reader
//! (`vpcd`) of a pcscd.
//!
//! Everything that a host sees is real: the reader service, the APDUs, the application of a Nitrokey 3 or SoloKeys. What
//! is made up is the finger (`--touch`) and the hand that pulls the token out (`--cut-at-sign`).

mod apdu;
mod reader;
mod token;
mod touch;

use std::{cell::RefCell, path::PathBuf, process::ExitCode, rc::Rc};

use clap::Parser;
use opcard::{Card, Options};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use trussed::{
    ClientImplementation,
    pipe::{ServiceEndpoint, TrussedChannel},
    service::Service,
    virt::{StorageConfig, StoreConfig},
};

use crate::{
    apdu::{Disguise, VirtualCard},
    token::{BACKENDS, Dispatch, Inline, Token},
    touch::{Finger, Touch},
};

/// Manufacturers of test cards have this number in the OpenPGP card specification.
const TEST_CARD: [u8; 2] = [0xff, 0xfe];
/// Yubico's.
const YUBICO: [u8; 2] = [0x00, 0x06];

/// Plug a virtual OpenPGP card into a virtual reader.
#[derive(Parser)]
#[command(after_help = "Example: virtual-card --port 35963 --serial 00000001 --touch delay:300 --state card")]
struct Args {
    /// The port on which the reader waits for a card
    #[arg(long, default_value_t = 35963)]
    port: u16,
    /// Eight hexadecimal digits
    #[arg(long, default_value = "00000001", value_parser = parse_serial)]
    serial: u32,
    /// When the token is touched: auto, deny, delay:MILLISECONDS, or file:PATH (touched when the file is there, which is
    /// then removed)
    #[arg(long, default_value = "auto")]
    touch: Touch,
    /// How many times faster the token's own clock runs: it waits 15 seconds of it for a touch
    #[arg(long, default_value_t = 1)]
    hurry: u32,
    /// Is pulled out in the middle of the N-th signature
    #[arg(long, value_name = "N")]
    cut_at_sign: Option<u64>,
    /// Keep the card's contents in this directory; without it they are gone with the process
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Answer as a YubiKey of this firmware when asked for it
    #[arg(long, value_name = "MAJOR.MINOR.PATCH", value_parser = parse_firmware)]
    yubikey: Option<Disguise>,
    /// With --yubikey: attest the signing key with statement.der and device.der of this directory
    #[arg(long, value_name = "DIR", requires = "yubikey")]
    attestation: Option<PathBuf>,
    /// Say every command and its status on standard error
    #[arg(long)]
    trace: bool,
}

fn parse_serial(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 16).map_err(|error| error.to_string())
}

fn parse_firmware(text: &str) -> Result<Disguise, String> {
    let numbers: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    let numbers = numbers.map_err(|error| error.to_string())?;
    let version = numbers.try_into().map_err(|_| "three numbers".to_owned())?;
    Ok(Disguise {
        version,
        attestation: None,
    })
}

/// What it attests, from a directory.
fn read_attestation(directory: &std::path::Path) -> std::io::Result<[Vec<u8>; 2]> {
    let read = |name: &str| std::fs::read(directory.join(name));
    Ok([read("statement.der")?, read("device.der")?])
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if let (Some(disguise), Some(directory)) = (&mut args.yubikey, &args.attestation) {
        match read_attestation(directory) {
            Ok(attestation) => disguise.attestation = Some(attestation),
            Err(error) => {
                eprintln!("virtual-card: {}: {error}", directory.display());
                return ExitCode::from(3);
            }
        }
    }
    let storage = match &args.state {
        None => StoreConfig::ram(),
        Some(directory) => match std::fs::create_dir_all(directory) {
            Ok(()) => StoreConfig {
                internal: StorageConfig::filesystem(directory.join("internal.bin")),
                external: StorageConfig::filesystem(directory.join("external.bin")),
                volatile: StorageConfig::ram(),
            },
            Err(error) => {
                eprintln!("virtual-card: {}: {error}", directory.display());
                return ExitCode::from(3);
            }
        },
    };
    let mut storage = storage;
    storage.with_store(|store| {
        let channel = TrussedChannel::new();
        let Some((requests, responses)) = channel.split() else {
            eprintln!("virtual-card: the channel is in use");
            return ExitCode::from(3);
        };
        let finger = Finger::new(args.touch.clone(), args.hurry);
        let token = Token::new(ChaCha20Rng::from_entropy(), store, finger);
        let endpoint = ServiceEndpoint::new(responses, token::client(), BACKENDS);
        let service = Service::with_dispatch(token, Dispatch::new());
        let inline = Inline::new(Rc::new(RefCell::new((service, vec![endpoint]))));
        let client: ClientImplementation<'_, Inline<'_>, Dispatch> = ClientImplementation::new(requests, inline, None);
        let mut options = Options::default();
        options.manufacturer = if args.yubikey.is_some() { YUBICO } else { TEST_CARD };
        options.serial = args.serial.to_be_bytes();
        let mut card = VirtualCard::new(Card::new(client, options), args.yubikey, args.trace);
        match reader::plug_in(args.port, args.serial, args.cut_at_sign, &mut card) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("virtual-card: removed: {error}");
                ExitCode::SUCCESS
            }
        }
    })
}

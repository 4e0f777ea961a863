//! The virtual reader's side: vpcd's protocol over TCP. Each message is its length in two bytes, then the body; a body of
//! one byte is the reader's own word.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::apdu::VirtualCard;

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// A smart card that speaks T=1 and takes extended lengths and command chaining, as tokens do.
const ATR: &[u8] = &[0x3b, 0x85, 0x80, 0x01, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0xd6];

/// How long a card lies beside a machine whose reader does not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for the reader, plugs the card in, and serves it until the card is pulled out or the reader is gone.
///
/// A reader that was looking at the card before may drop the first connection of the next one: what is plugged in stays
/// plugged in.
pub(crate) fn plug_in<T: opcard::Client>(
    port: u16,
    serial: u32,
    cut_at_sign: Option<u64>,
    card: &mut VirtualCard<T>,
) -> io::Result<()> {
    let mut signatures = 0;
    loop {
        let mut stream = connect(port)?;
        eprintln!("virtual-card: {serial:08X} is plugged in at port {port}");
        match serve(&mut stream, &mut signatures, cut_at_sign, card) {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("virtual-card: the reader let go: {error}"),
        }
        card.reset();
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Until the card is pulled out; an error is the reader's.
fn serve<T: opcard::Client>(
    stream: &mut TcpStream,
    signatures: &mut u64,
    cut_at_sign: Option<u64>,
    card: &mut VirtualCard<T>,
) -> io::Result<()> {
    loop {
        let message = receive(stream)?;
        match message[..] {
            [POWER_OFF] | [RESET] => card.reset(),
            [POWER_ON] => {}
            [GET_ATR] => send(stream, ATR)?,
            _ => {
                if VirtualCard::<T>::is_signature(&message) {
                    *signatures += 1;
                    if Some(*signatures) == cut_at_sign {
                        eprintln!("virtual-card: pulled out at signature {signatures}");
                        return stream.shutdown(Shutdown::Both);
                    }
                }
                let answer = card.execute(&message);
                send(stream, &answer)?;
            }
        }
    }
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    acknowledge_quickly(stream)?;
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    acknowledge_quickly(stream)?;
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// vpcd writes length and body apart, and the second waits for our acknowledgement of the first: 40 ms a command
/// without this. The kernel forgets it, so it is said before each read.
fn acknowledge_quickly(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_quickack(true)
}

fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let frame = [&length.to_be_bytes()[..], message].concat();
    stream.write_all(&frame)
}

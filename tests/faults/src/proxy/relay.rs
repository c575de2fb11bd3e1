//! One connection through the proxy.

use std::{
    io,
    sync::{Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::sleep,
};

use super::{Mode, Protocol, Shared, postgres::Postgres, resp, trap::Trap};

/// Who is speaking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Client,
    Server,
}

/// What becomes of a whole message.
pub(super) enum Fate {
    Pass,
    Vanish,
    /// This and what was held back with it waits behind a trap.
    Hold(Trap),
    /// It is kept until the end of the reply that it belongs to.
    Keep,
}

/// Relay until either side ends, or the connection is to be reset.
pub(super) async fn run(mut client: TcpStream, mut server: TcpStream, shared: &Shared) {
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let mut modes = shared.mode.subscribe();
    let resets = modes.borrow().1;
    let state = Mutex::new(Postgres::default());
    let is_reset = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = pump(
            &mut from_client,
            &mut to_server,
            shared,
            &state,
            Speaker::Client,
        );
        let down = pump(
            &mut from_server,
            &mut to_client,
            shared,
            &state,
            Speaker::Server,
        );
        tokio::select! {
            _ = up => false,
            _ = down => false,
            _ = modes.wait_for(|(_, now)| *now != resets) => true,
        }
    };
    if is_reset {
        reset(&client);
        reset(&server);
    }
}

/// Let a connection end with a reset instead of a farewell.
pub(super) fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn pump(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    shared: &Shared,
    state: &Mutex<Postgres>,
    speaker: Speaker,
) -> io::Result<()> {
    let (mut heard, mut kept) = (BytesMut::new(), BytesMut::new());
    loop {
        if from.read_buf(&mut heard).await? == 0 {
            return Ok(());
        }
        match shared.mode.borrow().0 {
            Mode::HalfOpen => {
                heard.clear();
                continue;
            }
            Mode::Pass | Mode::Refuse | Mode::Latency(_) => {}
        }
        let delay = match shared.mode.borrow().0 {
            Mode::Latency(delay) => delay,
            Mode::Pass | Mode::HalfOpen | Mode::Refuse => Duration::ZERO,
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let mut passed = BytesMut::new();
        while let Some(length) = length(shared, state, speaker, &heard) {
            let message = heard.split_to(length);
            match fate(shared, state, speaker, &message) {
                Fate::Vanish => {}
                Fate::Keep => kept.extend_from_slice(&message),
                Fate::Pass => {
                    passed.extend_from_slice(&kept.split());
                    passed.extend_from_slice(&message);
                }
                Fate::Hold(trap) => {
                    to.write_all(&passed).await?;
                    trap.spring().await;
                    return Ok(());
                }
            }
        }
        to.write_all(&passed).await?;
    }
}

/// The length of the message at the beginning of what was heard, if it is whole.
fn length(
    shared: &Shared,
    state: &Mutex<Postgres>,
    speaker: Speaker,
    heard: &[u8],
) -> Option<usize> {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    match (shared.protocol, speaker) {
        (Protocol::Postgres, Speaker::Client) => state.client_length(heard),
        (Protocol::Postgres, Speaker::Server) => state.server_length(heard),
        (Protocol::Redis, _) => resp::length(heard),
    }
}

fn fate(shared: &Shared, state: &Mutex<Postgres>, speaker: Speaker, message: &[u8]) -> Fate {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    match (shared.protocol, speaker) {
        (Protocol::Postgres, Speaker::Client) => state.client_says(message, &shared.traps),
        (Protocol::Postgres, Speaker::Server) => state.server_says(message, &shared.traps),
        (Protocol::Redis, Speaker::Client) => resp::client_says(message, &shared.traps),
        (Protocol::Redis, Speaker::Server) => {
            if !resp::is_message(message) {
                return Fate::Pass;
            }
            shared.messages.fetch_add(1, Relaxed);
            match shared.drops_messages.load(Relaxed) {
                true => Fate::Vanish,
                false => Fate::Pass,
            }
        }
    }
}

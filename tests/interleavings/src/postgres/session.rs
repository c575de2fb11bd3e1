//! A connection that says what happens on it.

use std::{future::poll_fn, rc::Rc};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::request::Request;

/// What is heard of a session.
pub(super) enum Said {
    /// A notice of `interleavings.step`.
    Step {
        held: bool,
        step: usize,
        label: String,
    },
    Done(Result<Vec<SimpleQueryRow>, tokio_postgres::Error>),
}

pub(super) struct Session {
    pub(super) client: Rc<Client>,
    pub(super) process: i32,
    said: UnboundedReceiver<Said>,
    says: UnboundedSender<Said>,
    pub(super) is_busy: bool,
    /// What it was asked.
    pub(super) request: Option<Request>,
}

impl Session {
    pub(super) async fn connect(config: &Config) -> Self {
        let (says, said) = unbounded_channel();
        let (client, mut connection) = config.connect(NoTls).await.expect("a connection");
        let notices = says.clone();
        tokio::task::spawn_local(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message
                    && let Some(step) = step(notice.message())
                {
                    let _ = notices.send(step);
                }
            }
        });
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
        Self {
            process: row.expect("a process").get(0),
            client: Rc::new(client),
            said,
            says,
            is_busy: false,
            request: None,
        }
    }

    /// Run statements without waiting for them. The last one is what counts.
    pub(super) fn start(&mut self, before: String, statement: String) {
        self.is_busy = true;
        let (client, says) = (self.client.clone(), self.says.clone());
        tokio::task::spawn_local(async move {
            let (_, done) = futures::join!(
                client.batch_execute(&before),
                client.simple_query(&statement)
            );
            let _ = says.send(Said::Done(done.map(rows)));
        });
    }

    pub(super) async fn hear(&mut self) -> Said {
        let said = self.said.recv().await.expect("the session holds its end");
        if let Said::Done(_) = said {
            self.is_busy = false;
        }
        said
    }
}

pub(super) fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.collect()
}

fn step(notice: &str) -> Option<Said> {
    let (how, rest) = notice.split_once(' ')?;
    let (number, label) = rest.split_once(' ')?;
    let held = match how {
        "held" => true,
        "step" => false,
        _ => return None,
    };
    Some(Said::Step {
        held,
        step: number.parse().ok()?,
        label: label.to_owned(),
    })
}

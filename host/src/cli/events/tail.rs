//! `emporium events tail`: prints events as they are published.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use super::{Api, moment, number, print, text};

/// How often there is a look at what is new.
const PERIOD: Duration = Duration::from_millis(500);

/// How many events are read at once; the most the API gives.
const PART: u32 = 500;

#[derive(Args)]
pub(super) struct Tail {
    /// Only events of this topic; may be given several times.
    #[arg(long = "topic", short)]
    topics: Vec<String>,
    /// Begin after this sequence number instead of with the latest events; 0
    /// begins with the oldest that is kept.
    #[arg(long)]
    after: Option<u64>,
    /// Begin with so many of the latest events.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    last: u32,
    /// Print each event as a JSON object.
    #[arg(long)]
    json: bool,
    /// End when everything that was published is printed.
    #[arg(long)]
    no_follow: bool,
}

impl Tail {
    pub(super) async fn run(self, api: &Api) -> Result<ExitCode> {
        let mut after = self.after;
        loop {
            let limit = after.map_or(self.last, |_| PART);
            let mut query = vec![("limit", limit.to_string())];
            query.extend(after.map(|after| ("after", after.to_string())));
            let events = api.get("/platform/events", &query).await?;
            let events = events.as_array().context("the answer is not a list")?;
            for event in events {
                if self.means(event) && !print(&self.line(event))? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            let seen = events
                .last()
                .and_then(|event| event.get("sequence")?.as_u64());
            let more = after.is_some() && events.len() == PART as usize;
            after = seen.or(after).or(Some(0));
            if more {
                continue;
            }
            if self.no_follow {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn means(&self, event: &Value) -> bool {
        let topic = text(event, "topic");
        self.topics.is_empty() || self.topics.iter().any(|meant| meant == topic)
    }

    fn line(&self, event: &Value) -> String {
        if self.json {
            return event.to_string();
        }
        format!(
            "{}  {:>8}  {}  {}  {}  {}",
            moment(event, "published_at_ms"),
            number(event, "sequence"),
            text(event, "topic"),
            text(event, "type"),
            text(event, "subject"),
            text(event, "id"),
        )
    }
}

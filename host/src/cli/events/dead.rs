//! `emporium events dead`, `replay` and `discard`: deliveries that were given up.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Api, moment, number, print, text};

const DEAD_LETTERS: &str = "/platform/dead-letters";

/// How many one request lists; the most the API gives.
const PART: usize = 100;

/// How many one request replays; the most the API takes.
const REPLAYED_AT_ONCE: u64 = 500;

/// Which dead letters are meant. What is left out excludes none.
#[derive(Args)]
struct Filter {
    /// Those of this service.
    #[arg(long)]
    service: Option<String>,
    /// Those of this topic.
    #[arg(long, short)]
    topic: Option<String>,
    /// Those of this CloudEvents type.
    #[arg(long = "type")]
    kind: Option<String>,
}

impl Filter {
    fn members(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("service", &self.service),
            ("topic", &self.topic),
            ("type", &self.kind),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
    }
}

#[derive(Args)]
pub(super) struct Dead {
    /// Show this one with its event, instead of listing.
    id: Option<u64>,
    #[command(flatten)]
    filter: Filter,
    /// List at most so many, the latest deaths.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print each as a JSON object.
    #[arg(long)]
    json: bool,
}

impl Dead {
    pub(super) async fn run(self, api: &Api) -> Result<ExitCode> {
        if let Some(id) = self.id {
            let letter = api.get(&format!("{DEAD_LETTERS}/{id}"), &[]).await?;
            let shown = match self.json {
                true => letter.to_string(),
                false => serde_json::to_string_pretty(&letter)?,
            };
            print(&shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut left = self.limit;
        let mut cursor = None;
        while left > 0 {
            let mut query: Vec<_> = self.filter.members().collect();
            query.push(("limit", left.min(PART).to_string()));
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let page = api.get(DEAD_LETTERS, &query).await?;
            for letter in items(&page) {
                left = left.saturating_sub(1);
                if !print(&self.line(letter))? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn line(&self, letter: &Value) -> String {
        if self.json {
            return letter.to_string();
        }
        format!(
            "{}  {:>8}  {}  {}  {}  {}  {} attempts  {}",
            moment(letter, "died_at_ms"),
            number(letter, "id"),
            text(letter, "service"),
            text(letter, "topic"),
            text(letter, "type"),
            text(letter, "subject"),
            number(letter, "attempts"),
            text(letter, "reason").replace('\n', " "),
        )
    }
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page.get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Which dead letters to decide about.
#[derive(Args)]
struct Selection {
    /// Those with these ids.
    #[arg(conflicts_with_all = ["service", "topic", "kind", "reason", "all"])]
    ids: Vec<u64>,
    #[command(flatten)]
    filter: Filter,
    /// Those whose reason contains this.
    #[arg(long)]
    reason: Option<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

impl Selection {
    /// The members of the body of a request.
    fn members(&self) -> Result<Map<String, Value>> {
        let mut members = Map::new();
        if !self.ids.is_empty() {
            members.insert("ids".into(), json!(self.ids));
        }
        for (name, value) in self.filter.members() {
            members.insert(name.into(), value.into());
        }
        if let Some(reason) = &self.reason {
            members.insert("reason".into(), reason.as_str().into());
        }
        if members.is_empty() && !self.all {
            bail!("say which dead letters: ids, --service, --topic, --type, --reason, or --all");
        }
        Ok(members)
    }

    /// Fails if some of those that were named are not dead letters.
    fn judge(&self, done: u64, verb: &str) -> Result<ExitCode> {
        print(&format!("{verb} {done}"))?;
        let named = self.ids.len() as u64;
        match done < named {
            true => bail!("{} of {named} are not dead letters", named - done),
            false => Ok(ExitCode::SUCCESS),
        }
    }
}

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    selection: Selection,
    /// Deliver so many in a second, instead of all at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// At most so many, the latest deaths.
    #[arg(long, short = 'n', conflicts_with = "ids")]
    limit: Option<u64>,
}

impl Replay {
    pub(super) async fn run(self, api: &Api) -> Result<ExitCode> {
        let mut body = self.selection.members()?;
        if let Some(per_second) = self.per_second {
            body.insert("per_second".into(), per_second.into());
        }
        if !self.selection.ids.is_empty() {
            let replayed = replay(api, body).await?;
            return self.selection.judge(replayed, "replayed");
        }
        // What dies again meanwhile is not replayed again.
        let page = api.get(DEAD_LETTERS, &[("limit", "1".into())]).await?;
        let latest = items(&page)
            .next()
            .and_then(|letter| letter.get("died_at_ms")?.as_u64());
        body.insert(
            "died_before_ms".into(),
            latest.map(|latest| latest + 1).into(),
        );
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut done = 0;
        while left > 0 {
            let limit = left.min(REPLAYED_AT_ONCE);
            body.insert("limit".into(), limit.into());
            let replayed = replay(api, body.clone()).await?;
            done += replayed;
            left -= replayed;
            if replayed < limit {
                break;
            }
            if let Some(per_second) = self.per_second {
                // The rate is kept from one request to the next.
                let seconds = replayed as f64 / f64::from(per_second);
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
        }
        self.selection.judge(done, "replayed")
    }
}

async fn replay(api: &Api, body: Map<String, Value>) -> Result<u64> {
    let path = format!("{DEAD_LETTERS}/replay");
    let answer = api.post(&path, &Value::Object(body)).await?;
    Ok(number(&answer, "replayed"))
}

#[derive(Args)]
pub(super) struct Discard {
    #[command(flatten)]
    selection: Selection,
}

impl Discard {
    pub(super) async fn run(self, api: &Api) -> Result<ExitCode> {
        let mut members = self.selection.members()?;
        if members.is_empty() {
            // Every reason contains it: all of them, said outright.
            members.insert("reason".into(), "".into());
        }
        let body = Value::Object(members);
        let mut done = 0;
        loop {
            let path = format!("{DEAD_LETTERS}/discard");
            let answer = api.post(&path, &body).await?;
            let discarded = number(&answer, "discarded");
            done += discarded;
            if !self.selection.ids.is_empty() || discarded == 0 {
                return self.selection.judge(done, "discarded");
            }
        }
    }
}

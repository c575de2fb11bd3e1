//! `emporium events forget`: ends a subscription that nobody needs any more.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::Value;

use super::{Api, number, print, text};

#[derive(Args)]
pub(super) struct Forget {
    /// The service that subscribed.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    service: String,
    /// The topic it subscribed to.
    #[arg(long, short, value_parser = NonEmptyStringValueParser::new())]
    topic: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Forget {
    pub(super) async fn run(self, api: &Api) -> Result<ExitCode> {
        let subscriptions = api.get("/platform/subscriptions", &[]).await?;
        let subscription = self.find(&subscriptions)?;
        if !self.yes && !self.confirm(subscription)? {
            print("nothing was forgotten")?;
            return Ok(ExitCode::FAILURE);
        }
        let path = ["platform", "subscriptions", &self.service, &self.topic];
        api.delete(&path).await?;
        print(&format!("forgot {} on {}", self.service, self.topic))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The subscription, or which ones there are instead.
    fn find<'a>(&self, subscriptions: &'a Value) -> Result<&'a Value> {
        let all = subscriptions.as_array().map_or(&[][..], Vec::as_slice);
        let is_meant = |subscription: &&Value| {
            text(subscription, "service") == self.service
                && text(subscription, "topic") == self.topic
        };
        if let Some(subscription) = all.iter().find(is_meant) {
            return Ok(subscription);
        }
        let of_service: Vec<_> = all
            .iter()
            .filter(|subscription| text(subscription, "service") == self.service)
            .map(|subscription| text(subscription, "topic"))
            .collect();
        let (service, topic) = (&self.service, &self.topic);
        match of_service.is_empty() {
            true => {
                bail!("no-such-subscription: no service {service:?} has subscribed to anything")
            }
            false => bail!(
                "no-such-subscription: {service:?} has not subscribed to {topic:?}, but to {}",
                of_service.join(", ")
            ),
        }
    }

    /// Asks whoever is at the terminal.
    fn confirm(&self, subscription: &Value) -> Result<bool> {
        if !io::stdin().is_terminal() {
            bail!("nobody can be asked here; --yes forgets without asking");
        }
        let owed: u64 = ["pending", "leased", "delayed"]
            .iter()
            .map(|name| number(subscription, name))
            .sum();
        eprint!(
            "{} will not get the {owed} deliveries of {} that it is owed, and its {} dead letters \
             are lost. Forget it? [y/N] ",
            self.service,
            self.topic,
            number(subscription, "dead"),
        );
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(is_yes(&answer))
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn forget(service: &str, topic: &str) -> Forget {
        Forget {
            service: service.into(),
            topic: topic.into(),
            yes: false,
        }
    }

    #[test]
    fn only_a_yes_is_one() {
        for (answer, yes) in [("y\n", true), ("YES", true), ("", false), ("yellow", false)] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }

    #[test]
    fn who_errs_is_told_what_there_is() {
        let subscriptions = json!([
            {"service": "media", "topic": "image"},
            {"service": "media", "topic": "dither"},
        ]);
        let said = |service, topic| match forget(service, topic).find(&subscriptions) {
            Ok(found) => found.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(said("media", "image").contains("image"));
        assert!(said("media", "video").contains("but to image, dither"));
        assert!(said("midia", "image").contains("no service \"midia\""));
    }
}

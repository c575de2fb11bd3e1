//! Where spans go and which are made, as the environment variables of
//! OpenTelemetry say.

use std::{env, str::FromStr, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

/// How the host exports spans.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Where batches of spans are posted, for instance
    /// `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: Url,
    /// Sent with every batch.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the collector may take to answer.
    pub timeout: Duration,
    /// What this host is called.
    pub service: String,
    /// What else is said of it.
    pub attributes: Vec<(String, String)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// How many spans wait at most; more are dropped.
    pub queue: usize,
    /// How many are sent at once.
    pub batch: usize,
    /// How long a span waits for others to be sent with.
    pub delay: Duration,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether a trace that began elsewhere is recorded if it is there.
    pub follows_parent: bool,
    /// The share of the others, from 0 to 1.
    pub ratio: f64,
}

impl Telemetry {
    /// Everything is recorded and sent to `endpoint`.
    pub fn new(endpoint: Url) -> Self {
        Self {
            endpoint,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            service: "emporium".into(),
            attributes: Vec::new(),
            sampler: Sampler {
                follows_parent: true,
                ratio: 1.0,
            },
            queue: 2048,
            batch: 512,
            delay: Duration::from_secs(5),
        }
    }

    /// What the environment says; `None` if it names no collector.
    pub fn from_environment() -> Result<Option<Self>> {
        Self::read(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let is = |name, expected: &str| {
            variable(name).is_some_and(|value| value.eq_ignore_ascii_case(expected))
        };
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        // Those of traces alone win over those of every signal.
        let of_traces = |name: &str| {
            let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let shared = format!("OTEL_EXPORTER_OTLP_{name}");
            variable(&own)
                .map(|value| (own, value))
                .or_else(|| Some((shared.clone(), variable(&shared)?)))
        };
        let Some((name, endpoint)) = of_traces("ENDPOINT") else {
            return Ok(None);
        };
        let is_base = name == "OTEL_EXPORTER_OTLP_ENDPOINT";
        let mut telemetry = Self::new(endpoint_of(&endpoint, is_base).context(name)?);
        if let Some((name, protocol)) = of_traces("PROTOCOL")
            && protocol != "http/protobuf"
        {
            bail!("{name}: {protocol:?} is not known here; `http/protobuf` is");
        }
        if let Some((name, headers)) = of_traces("HEADERS") {
            telemetry.headers = pairs(&headers)
                .and_then(|pairs| {
                    pairs
                        .into_iter()
                        .map(|(name, value)| Ok((name.parse()?, value.parse()?)))
                        .collect()
                })
                .context(name)?;
        }
        if let Some((name, timeout)) = of_traces("TIMEOUT") {
            telemetry.timeout = Duration::from_millis(parse(&name, &timeout)?);
        }
        if let Some(attributes) = variable("OTEL_RESOURCE_ATTRIBUTES") {
            telemetry.attributes = pairs(&attributes).context("OTEL_RESOURCE_ATTRIBUTES")?;
        }
        let named = telemetry
            .attributes
            .iter()
            .find(|(name, _)| name == "service.name");
        let named = named.map(|(_, value)| value.clone());
        if let Some(service) = variable("OTEL_SERVICE_NAME").or(named) {
            telemetry.service = service;
        }
        telemetry
            .attributes
            .retain(|(name, _)| name != "service.name");
        if let Some(sampler) = variable("OTEL_TRACES_SAMPLER") {
            let ratio = variable("OTEL_TRACES_SAMPLER_ARG");
            let ratio = ratio.map(|ratio| parse("OTEL_TRACES_SAMPLER_ARG", &ratio));
            telemetry.sampler = sampler_of(&sampler, ratio.transpose()?)?;
        }
        for (name, value) in [
            ("OTEL_BSP_MAX_QUEUE_SIZE", &mut telemetry.queue),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &mut telemetry.batch),
        ] {
            if let Some(given) = variable(name) {
                *value = parse::<usize>(name, &given)?.max(1);
            }
        }
        if let Some(delay) = variable("OTEL_BSP_SCHEDULE_DELAY") {
            telemetry.delay = Duration::from_millis(parse("OTEL_BSP_SCHEDULE_DELAY", &delay)?);
        }
        Ok(Some(telemetry))
    }
}

/// To an endpoint for every signal, the path of the signal is added.
fn endpoint_of(text: &str, is_base: bool) -> Result<Url> {
    let text = match is_base {
        true => format!("{}/v1/traces", text.trim_end_matches('/')),
        false => text.to_owned(),
    };
    let url = Url::parse(&text).with_context(|| format!("{text:?} is not a URL"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => bail!("{scheme:?} is not known here; `http` and `https` are"),
    }
}

fn sampler_of(name: &str, ratio: Option<f64>) -> Result<Sampler> {
    let (follows_parent, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name),
    };
    let ratio = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => ratio.unwrap_or(1.0),
        _ => bail!("OTEL_TRACES_SAMPLER: {name:?} is not known here"),
    };
    if !(0.0..=1.0).contains(&ratio) {
        bail!("OTEL_TRACES_SAMPLER_ARG: {ratio} is not from 0 to 1");
    }
    Ok(Sampler {
        follows_parent,
        ratio,
    })
}

/// `a=b,c=d`, percent-encoded.
fn pairs(list: &str) -> Result<Vec<(String, String)>> {
    let decode = |text: &str| {
        percent_decode_str(text.trim())
            .decode_utf8()
            .map(|text| text.into_owned())
    };
    list.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| anyhow!("{pair:?} is not of the form name=value"))?;
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn parse<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
    text: &str,
) -> Result<T> {
    text.trim()
        .parse()
        .with_context(|| format!("{name}: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Telemetry>> {
        Telemetry::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for variables in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "shop")],
            &[endpoint, ("OTEL_SDK_DISABLED", "TRUE")],
            &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(variables).expect("valid").is_none(), "{variables:?}");
        }
    }

    #[test]
    fn the_path_of_the_signal_is_added_to_the_shared_endpoint_alone() {
        for (name, value, expected) in [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://c:4318/",
                "http://c:4318/v1/traces",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "https://c/otlp",
                "https://c/otlp/v1/traces",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://c/x",
                "http://c/x",
            ),
        ] {
            let read = read(&[(name, value)]).expect("valid").expect("an endpoint");
            assert_eq!(read.endpoint.as_str(), expected);
        }
    }

    #[test]
    fn the_rest_is_read_too() {
        let read = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, x-other=c"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=lost,deployment=test",
            ),
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]);
        let read = read.expect("valid").expect("an endpoint");
        assert_eq!(read.service, "shop");
        assert_eq!(read.attributes, [("deployment".into(), "test".into())]);
        assert_eq!(read.headers.first().expect("a header").1, "a b");
        assert_eq!(read.delay, Duration::from_millis(100));
        let quarter = Sampler {
            follows_parent: true,
            ratio: 0.25,
        };
        assert_eq!(read.sampler, quarter);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no pair"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "many"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ] {
            let error = read(&[
                (name, value),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ]);
            let error = format!("{:#}", error.expect_err(name));
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}

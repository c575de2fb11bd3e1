//! What is refused, and how the refusal reads.

use super::{Manifest, Route};

/// A manifest with one component, into which a test writes what it is about.
struct Text {
    application: &'static str,
    component: &'static str,
    rest: &'static str,
}

const PLAIN: Text = Text {
    application: "",
    component: "",
    rest: "",
};

impl Text {
    fn parse(&self, profile: Option<&str>) -> Result<Manifest, String> {
        let Self {
            application,
            component,
            rest,
        } = self;
        let text = format!(
            r#"spin_manifest_version = 2
[application]
name = "test"
{application}
[[trigger.http]]
route = "/..."
component = "one"
[component.one]
source = "one.wasm"
{component}
[component.two]
source = "two.wasm"
{rest}
"#
        );
        Manifest::parse(&text, "spin.toml", profile).map_err(|problems| problems.to_string())
    }
}

fn assert_refused(text: &Text, expected: &str) {
    let refusal = text.parse(None).expect_err(expected);
    assert!(
        refusal.contains(expected),
        "{expected:?} is not in {refusal:?}"
    );
    assert!(
        refusal.contains("spin.toml"),
        "{refusal:?} does not name the file"
    );
}

fn application(application: &'static str) -> Text {
    Text {
        application,
        ..PLAIN
    }
}

fn component(component: &'static str) -> Text {
    Text { component, ..PLAIN }
}

fn rest(rest: &'static str) -> Text {
    Text { rest, ..PLAIN }
}

#[test]
fn a_plain_manifest_is_read() {
    let manifest = PLAIN.parse(None).expect("valid");
    assert_eq!(manifest.name, "test");
    assert_eq!(
        manifest.http.first().map(|trigger| &trigger.route),
        Some(&Route::Public("/...".into()))
    );
    assert_eq!(manifest.components.len(), 2);
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    for text in [
        application("nickname = 'x'"),
        application("trigger.redis = { address = 'redis://h', pool = 3 }"),
        component("allowed_outbound_host = []"),
        component("build = { command = 'x', cwd = 'y' }"),
        component("files = [{ source = 'a', destination = '/', mode = 'rw' }]"),
        component("dependencies = { 'a:b' = { component = 'two', inherit = true } }"),
        component("profile.p = { key_value_stores = [] }"),
        rest("[variables]\nx = { default = '', secrt = true }"),
        rest("[[trigger.http]]\nroute = '/x'\ncomponent = 'one'\nmethod = 'GET'"),
        rest(
            "[[trigger.redis]]\naddress = 'redis://h'\nchannel = 'c'\ncomponent = 'one'\ngroup = 'g'",
        ),
        rest("[observability]\non = true"),
    ] {
        assert_refused(&text, "unknown field");
    }
}

#[test]
fn what_spin_would_refuse_is_refused() {
    for (text, expected) in [
        (
            rest("[[trigger.http]]\nroute = '/x'\ncomponent = 'three'"),
            "component \"three\" does not exist",
        ),
        (rest("[[trigger.http]]\nroute = '/x'"), "needs `component"),
        (
            rest("[[trigger.http]]\nroute = { private = false }\ncomponent = 'one'"),
            "{ private = true }",
        ),
        (
            rest("[[trigger.http]]\nroute = '/a/:'\ncomponent = 'one'"),
            "params must be named",
        ),
        (
            rest("[[trigger.redis]]\nchannel = 'c'\ncomponent = 'one'"),
            "no `address`",
        ),
        (
            rest("[component.Bad_Id]\nsource = 'x'"),
            "separated with '-'",
        ),
        (rest("[variables]\nTOKEN = { default = '' }"), "lower case"),
        (rest("[variables]\ntoken = {}"), "`required = true`"),
        (
            rest("[variables]\ntoken = { required = true, default = '' }"),
            "has a default",
        ),
        (
            component("variables = { token = '{{ tokn }}' }"),
            "refers to `{{ tokn }}`",
        ),
        (
            component("variables = { token = '{{ token' }"),
            "without its `}}`",
        ),
        (
            component("allowed_outbound_hosts = ['https://{{ host }}']"),
            "refers to `{{ host }}`",
        ),
        (
            component("key_value_stores = ['my store']"),
            "kebab-case or snake_case",
        ),
        (
            component("dependencies = { 'a:b' = { component = 'none' } }"),
            "component \"none\" does not exist",
        ),
        (
            component("dependencies = { 'a:b' = { component = 'two', export = 'c' } }"),
            "`export`",
        ),
        (
            component(
                "dependencies = { 'a:b' = { component = 'two' }, 'a:b/c@0.1.0' = { component = 'two' } }",
            ),
            "overlaps",
        ),
        (
            component(
                "dependencies_inherit_configuration = true\n\
                 dependencies = { 'a:b' = { component = 'two', inherit_configuration = true } }",
            ),
            "exclude each other",
        ),
    ] {
        assert_refused(&text, expected);
    }
}

#[test]
fn a_dependency_may_not_have_configuration_of_its_own() {
    for (own, name) in [
        ("variables = { a = 'b' }", "variables"),
        ("environment = { A = 'b' }", "environment"),
        ("files = [{ source = 'a', destination = '/' }]", "files"),
        (
            "allowed_outbound_hosts = ['https://a.example']",
            "allowed_outbound_hosts",
        ),
        ("key_value_stores = ['default']", "key_value_stores"),
        ("sqlite_databases = ['default']", "sqlite_databases"),
        (
            "dependencies = { 'c:d' = { component = 'one' } }",
            "dependencies",
        ),
    ] {
        let text = Text {
            component: "dependencies = { 'a:b' = { component = 'two' } }",
            rest: own,
            ..PLAIN
        };
        assert_refused(&text, &format!("has {name} of its own"));
    }
}

#[test]
fn what_this_host_does_not_support_says_so() {
    for text in [
        application("targets = ['spin-up:3.3']"),
        component("ai_models = ['llama2-chat']"),
        component("files = ['assets/**']"),
        component("exclude_files = ['x']"),
        component("dependencies = { 'a:b' = '0.1.0' }"),
        component("dependencies = { 'a:b' = { version = '0.1.0' } }"),
        rest("[[trigger.mqtt]]\ntopic = 't'\ncomponent = 'one'"),
        rest("[[trigger.http]]\nroute = '/s'\nstatic_response = { body = 'x' }\ncomponent = 'one'"),
        rest("[[trigger.http]]\nroute = '/s'\ncomponent = 'one'\nexecutor = { type = 'wagi' }"),
        rest(
            "[component.three]\nsource = { url = 'https://a.example/x.wasm', digest = 'sha256:0' }",
        ),
    ] {
        assert_refused(&text, "supported by this host");
    }
}

#[test]
fn names_that_spin_silently_ignores_are_refused() {
    let text = component(
        "dependencies = { 'a:b' = { component = 'two', inherit_configuration = ['sqlite'] } }",
    );
    assert_refused(&text, "is not one of ai_models");
    let twice = rest("[[trigger.http]]\nroute = '/...'\ncomponent = 'two'");
    assert_refused(&twice, "is given to both \"one\" and \"two\"");
}

#[test]
fn all_problems_are_named_at_once() {
    let text = Text {
        application: "nickname = 'x'",
        component: "variables = { a = '{{ b }}' }",
        rest: "[[trigger.http]]\nroute = '/x'\ncomponent = 'three'",
    };
    let refusal = text.parse(None).expect_err("three problems");
    for expected in ["3 problems", "nickname", "{{ b }}", "\"three\""] {
        assert!(
            refusal.contains(expected),
            "{expected:?} is not in {refusal:?}"
        );
    }
}

#[test]
fn a_profile_overrides_what_it_names() {
    let text = component(
        "environment = { A = 'plain', B = 'plain' }\n\
         [component.one.profile.other]\n\
         source = 'other.wasm'\n\
         environment = { A = 'other' }",
    );
    let one = |profile| {
        text.parse(profile)
            .expect("valid")
            .components
            .remove("one")
            .expect("there")
    };
    assert_eq!(one(None).source.to_str(), Some("one.wasm"));
    let other = one(Some("other"));
    assert_eq!(other.source.to_str(), Some("other.wasm"));
    assert_eq!(
        other.environment.into_values().collect::<Vec<_>>(),
        ["other", "plain"]
    );
    assert!(text.parse(Some("misspelt")).is_err());
}

//! Steps in plpgsql: where a session can be held.
//!
//! After each statement that touches the database, and where the condition of a
//! branch or the query of a loop did, a call of `interleavings.step` is put. It is
//! the condition of an `IF` without a body, which, unlike `PERFORM`, leaves
//! `FOUND` alone.

/// What a statement or condition is made of if it touches the database.
const TOUCHING: [&str; 7] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "PERFORM", "EXECUTE", "CALL",
];

/// What nobody comes back from.
const LEAVING: [&str; 4] = ["RETURN", "EXIT", "CONTINUE", "RAISE"];

/// Puts steps into the body of a function. `known` says which functions have
/// steps of their own: behind a call of one of them there is no other.
pub fn instrumented(function: &str, body: &str, known: &[String]) -> String {
    let mut writer = Writer {
        function,
        known,
        out: String::with_capacity(body.len() * 2),
        steps: 0,
        line: 0,
        begun: false,
        declares: false,
        statement: Vec::new(),
        frames: Vec::new(),
        parentheses: 0,
        cases: 0,
    };
    let mut rest = body;
    while !rest.is_empty() {
        let (token, behind) = rest.split_at(token_length(rest));
        writer.take(token, behind);
        rest = behind;
    }
    writer.out
}

struct Writer<'a> {
    function: &'a str,
    known: &'a [String],
    out: String,
    steps: usize,
    line: usize,
    /// Whether the outermost `BEGIN` is behind.
    begun: bool,
    declares: bool,
    /// The words of the statement so far, in capitals.
    statement: Vec<String>,
    /// Whether the header of each open `IF` and `LOOP` touched the database.
    frames: Vec<bool>,
    parentheses: usize,
    cases: usize,
}

impl Writer<'_> {
    fn take(&mut self, token: &str, behind: &str) {
        self.out.push_str(token);
        self.line += token.matches('\n').count();
        match token {
            "(" => self.parentheses += 1,
            ")" => self.parentheses = self.parentheses.saturating_sub(1),
            ";" if self.parentheses == 0 => self.end_statement(behind),
            _ if token.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                self.word(&token.to_uppercase());
            }
            _ => {}
        }
    }

    fn word(&mut self, word: &str) {
        match word {
            "DECLARE" if self.statement.is_empty() => self.declares = true,
            "BEGIN" if self.parentheses == 0 && (self.declares || self.statement.is_empty()) => {
                self.declares = false;
                self.begun = true;
                self.statement.clear();
                return;
            }
            "CASE" => self.cases += 1,
            "END" if self.cases > 0 => self.cases -= 1,
            "THEN" if self.cases == 0 && self.starts_with(&["IF", "ELSIF"]) => {
                let touches = self.touches();
                if self.starts_with(&["IF"]) {
                    self.frames.push(touches);
                } else if let Some(frame) = self.frames.last_mut() {
                    *frame |= touches;
                }
                return self.end_header();
            }
            "ELSE" if self.cases == 0 && self.statement.is_empty() => {
                return self.end_header();
            }
            "LOOP" if self.statement.first().is_none_or(|first| first != "END") => {
                let touches = self.touches();
                self.frames.push(touches);
                return self.end_header();
            }
            _ => {}
        }
        self.statement.push(word.to_owned());
    }

    fn starts_with(&self, words: &[&str]) -> bool {
        let first = self.statement.first();
        first.is_some_and(|first| words.contains(&first.as_str()))
    }

    fn touches(&self) -> bool {
        let mut words = self.statement.iter();
        words.any(|word| TOUCHING.contains(&word.as_str()) || word.starts_with("EMPORIUM_"))
    }

    fn end_header(&mut self) {
        self.statement.clear();
        if self.frames.last() == Some(&true) {
            self.step();
        }
    }

    fn end_statement(&mut self, behind: &str) {
        let statement = std::mem::take(&mut self.statement);
        if self.declares || !self.begun || behind.trim().is_empty() {
            return;
        }
        let touched = match statement.first().map(String::as_str) {
            Some("END") => {
                let frame = statement
                    .get(1)
                    .is_some_and(|of| of == "IF" || of == "LOOP");
                frame && self.frames.pop() == Some(true)
            }
            Some(first) if LEAVING.contains(&first) => false,
            Some("PERFORM") if statement.get(1).is_some_and(|of| of == "SET_CONFIG") => false,
            Some("PERFORM") if self.is_known(&statement) => false,
            _ => {
                self.statement = statement;
                let touches = self.touches();
                self.statement.clear();
                touches
            }
        };
        if touched {
            self.step();
        }
    }

    /// Whether a statement only calls a function that has steps.
    fn is_known(&self, statement: &[String]) -> bool {
        let called = statement.iter().find(|word| word.starts_with("EMPORIUM_"));
        let name = called.and_then(|_| statement.get(2));
        name.is_some_and(|name| self.known.contains(&name.to_lowercase()))
            && !statement.contains(&"SELECT".to_owned())
    }

    fn step(&mut self) {
        self.steps += 1;
        let (function, step) = (self.function, self.steps);
        self.out.push_str(&format!(
            " IF interleavings.step('{function}:{step}, line {}') THEN END IF;",
            self.line
        ));
    }
}

/// How long the first token is: a word, a comment, something quoted, white space
/// or a single character.
fn token_length(text: &str) -> usize {
    let first = text.chars().next().map_or(1, char::len_utf8);
    let until = |end: &str| {
        let end = text[first..].find(end).map(|at| first + at + end.len());
        end.unwrap_or(text.len())
    };
    if text.starts_with("--") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/");
    }
    if text.starts_with('\'') {
        // A doubled quote reads as two strings side by side, which is as good.
        return until("'");
    }
    if text.starts_with('"') {
        return until("\"");
    }
    if text.starts_with('$') {
        let tag = text[1..].find('$').map(|at| &text[..at + 2]);
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if let Some(tag) = tag.filter(|tag| tag[1..tag.len() - 1].chars().all(is_name)) {
            let end = text[tag.len()..].find(tag);
            return end.map_or(text.len(), |at| at + 2 * tag.len());
        }
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if text.starts_with(is_word) {
        return text.find(|c| !is_word(c)).unwrap_or(text.len());
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(body: &str) -> usize {
        let known = ["leave".to_owned()];
        let out = instrumented("f", body, &known);
        out.matches("interleavings.step").count()
    }

    #[test]
    fn what_touches_the_database_is_followed_by_a_step() {
        assert_eq!(
            steps("DECLARE x int := 1; BEGIN x := 2; SELECT 1 INTO x; RETURN; END"),
            1
        );
        assert_eq!(
            steps("BEGIN PERFORM 1 FROM t; UPDATE t SET a = ';'; END"),
            2
        );
        assert_eq!(steps("BEGIN -- SELECT; \n RETURN; END"), 0);
    }

    #[test]
    fn branches_and_loops_have_steps_where_they_looked() {
        assert_eq!(steps("BEGIN IF x THEN y := 1; ELSE y := 2; END IF; END"), 0);
        assert_eq!(
            steps("BEGIN IF EXISTS (SELECT 1) THEN y := 1; ELSE y := 2; END IF; RETURN; END"),
            3
        );
        assert_eq!(
            steps("BEGIN FOR r IN SELECT 1 LOOP y := 1; END LOOP; RETURN; END"),
            2
        );
        assert_eq!(steps("BEGIN y := CASE WHEN a THEN 1 ELSE 2 END; END"), 0);
    }

    #[test]
    fn functions_with_steps_need_no_other() {
        assert_eq!(steps("BEGIN PERFORM emporium_1.leave(a); RETURN; END"), 0);
        assert_eq!(
            steps("BEGIN PERFORM emporium_1.leave(ARRAY(SELECT 1)); RETURN; END"),
            1
        );
        assert_eq!(
            steps("BEGIN PERFORM set_config('a', 'b', true); RETURN; END"),
            0
        );
    }
}

//! The statements of an application.

use sqlparser::ast::Query;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::marks::{is_word, keyword, parser, rewrite};
use super::{Kinesis, Marks, Name, cased};
use crate::error::{Place, SqlError};
use crate::types::Type;

/// `CREATE STREAM`.
#[derive(Clone, Debug)]
pub(crate) struct StreamDecl {
    pub(crate) name: Name,
    pub(crate) columns: Vec<(Name, Type)>,
}

/// `CREATE PUMP`.
#[derive(Clone, Debug)]
pub(crate) struct Pump {
    pub(crate) name: Name,
    pub(crate) into: Name,
    /// The columns that INSERT names.
    pub(crate) columns: Option<Vec<Name>>,
    pub(crate) query: Box<Query>,
    pub(crate) marks: Marks,
}

#[derive(Clone, Debug)]
pub(crate) enum Statement {
    Stream(StreamDecl),
    Pump(Pump),
}

/// The longest application text, in bytes: far above the original's 100 KB.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Reads all statements.
pub(crate) fn parse(text: &str) -> Result<Vec<Statement>, SqlError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(SqlError::new(Place::default(), "application", "longer than 4 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tokens = Tokenizer::new(&Kinesis, text)
        .tokenize_with_location()
        .map_err(|error| SqlError::new(error.location, "text", error.message))?;
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    check_depth(&tokens)?;
    split(&tokens).into_iter().map(statement).collect()
}

/// Operators that stand inside each other or in one chain, such as `a OR b OR c`, and UNIONs of one
/// statement: each makes the tree deeper, and trees are walked by recursion.
const MAX_DEPTH: usize = 200;

/// CASEs in one another: the parser takes few more, and says of the next that it misses an end.
const MAX_CASES: usize = 40;

/// Columns of a stream, far above what a record of 1 MiB has use for.
const MAX_COLUMNS: usize = 10_000;

fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    // Operators of the chain at each open parenthesis, and of all; UNIONs of the statement.
    let (mut open, mut n_open, mut n_unions) = (vec![0_usize], 0_usize, 0_usize);
    let mut n_cases = 0_usize;
    for token in tokens {
        match keyword(&token.token) {
            Keyword::CREATE => (n_unions, n_cases) = (0, 0),
            Keyword::UNION => n_unions += 1,
            Keyword::CASE => n_cases += 1,
            Keyword::END => n_cases = n_cases.saturating_sub(1),
            _ => {}
        }
        if n_cases > MAX_CASES {
            let problem = format!("more than {MAX_CASES} of them in one another");
            return Err(SqlError::new(token.span.start, "CASE", problem)
                .instead("write CASE WHEN .. THEN .. WHEN .. THEN .. END"));
        }
        if n_unions > MAX_DEPTH {
            let problem = format!("more than {MAX_DEPTH} of them in one statement");
            return Err(SqlError::new(token.span.start, "UNION ALL", problem)
                .instead("write pumps that insert into the same stream"));
        }
        let ends_chain = match &token.token {
            Token::LParen => {
                open.push(0);
                false
            }
            Token::RParen => {
                n_open -= if open.len() > 1 { open.pop().unwrap_or(0) } else { 0 };
                false
            }
            Token::Comma | Token::SemiColon => true,
            // Clauses, and the branches of a CASE.
            _ => matches!(
                keyword(&token.token),
                Keyword::CREATE
                    | Keyword::SELECT
                    | Keyword::FROM
                    | Keyword::JOIN
                    | Keyword::ON
                    | Keyword::WHERE
                    | Keyword::GROUP
                    | Keyword::HAVING
                    | Keyword::UNION
                    | Keyword::WHEN
                    | Keyword::THEN
                    | Keyword::ELSE
            ),
        };
        let chain = open.last_mut().expect("the outermost is never closed");
        if ends_chain {
            n_open -= *chain;
            *chain = 0;
        }
        let is_operator = match &token.token {
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::StringConcat => true,
            other => matches!(keyword(other), Keyword::AND | Keyword::OR | Keyword::NOT),
        };
        if is_operator {
            *chain += 1;
            n_open += 1;
        }
        if n_open > MAX_DEPTH {
            let problem = format!("more than {MAX_DEPTH} operators in one another");
            return Err(SqlError::new(token.span.start, "expression", problem)
                .instead("write x IN (..), or a part of it in a subquery or a stream of its own"));
        }
    }
    Ok(())
}

/// Statements end at a semicolon, or where the next one begins: applications lack semicolons.
fn split(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let mut statements = Vec::new();
    let (mut begin, mut depth) = (0, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        let begins = depth == 0 && keyword(&token.token) == Keyword::CREATE && at > begin;
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if token.token == Token::SemiColon || begins || token.token == Token::EOF {
            statements.push(&tokens[begin..at]);
            begin = if begins { at } else { at + 1 };
            depth = 0;
        }
    }
    statements.push(tokens.get(begin..).unwrap_or_default());
    statements.retain(|statement| !statement.is_empty());
    statements
}

struct Cursor<'a> {
    tokens: &'a [TokenWithSpan],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::EOF, |token| &token.token)
    }

    fn place(&self) -> Place {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or(Place::default(), |token| token.span.start.into())
    }

    fn takes(&mut self, text: &str) -> bool {
        let found = is_word(self.peek(), text);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, text: &str, construct: &str) -> Result<(), SqlError> {
        if self.takes(text) {
            return Ok(());
        }
        let problem = format!("expected {text}, found {}", self.peek());
        Err(SqlError::new(self.place(), construct, problem))
    }

    /// A name, without the schemas before it (`"APP"."S"`).
    fn name(&mut self, construct: &str) -> Result<Name, SqlError> {
        loop {
            let place = self.place();
            let Token::Word(word) = self.peek().clone() else {
                let problem = format!("expected a name, found {}", self.peek());
                return Err(SqlError::new(place, construct, problem));
            };
            self.at += 1;
            if *self.peek() == Token::Period {
                self.at += 1;
                continue;
            }
            return Ok(Name { text: cased(&word.value, word.quote_style), place });
        }
    }

    /// What stands between the parenthesis here and its partner, split at commas.
    fn list(&mut self, construct: &str) -> Result<Vec<&[TokenWithSpan]>, SqlError> {
        if *self.peek() != Token::LParen {
            let problem = format!("expected (, found {}", self.peek());
            return Err(SqlError::new(self.place(), construct, problem));
        }
        let (mut parts, mut depth, mut begin) = (Vec::new(), 0, self.at + 1);
        for at in self.at..self.tokens.len() {
            match self.tokens[at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            let ends = depth == 0;
            if ends || (depth == 1 && self.tokens[at].token == Token::Comma) {
                parts.push(&self.tokens[begin..at]);
                begin = at + 1;
            }
            if ends {
                self.at = begin;
                return Ok(parts);
            }
        }
        Err(SqlError::new(self.place(), construct, "a parenthesis is not closed"))
    }
}

fn statement(tokens: &[TokenWithSpan]) -> Result<Statement, SqlError> {
    let mut cursor = Cursor { tokens, at: 0 };
    let place = cursor.place();
    if !cursor.takes("CREATE") {
        let construct = cursor.peek().to_string().to_uppercase();
        let error = SqlError::unsupported(place, construct.clone());
        return Err(match construct.as_str() {
            "ALTER" => error.instead("leave it out: every pump runs from the start"),
            "DROP" => error.instead("leave the statement and what it drops out"),
            "INSERT" | "SELECT" => {
                error.instead("put it into a pump: CREATE OR REPLACE PUMP \"P\" AS INSERT INTO ..")
            }
            _ => error.instead("an application is made of CREATE STREAM and CREATE PUMP"),
        });
    }
    if cursor.takes("OR") {
        cursor.expect("REPLACE", "CREATE OR REPLACE")?;
    }
    if cursor.takes("STREAM") {
        return stream(cursor).map(Statement::Stream);
    }
    if cursor.takes("PUMP") {
        return pump(cursor).map(Statement::Pump);
    }
    let construct = format!("CREATE {}", cursor.peek().to_string().to_uppercase());
    let error = SqlError::unsupported(cursor.place(), construct.clone());
    Err(match construct.as_str() {
        "CREATE FUNCTION" => error.instead("write the function's expression where it is called"),
        "CREATE VIEW" => error.instead("make it a stream, and a pump that fills it"),
        _ => error.instead("an application is made of CREATE STREAM and CREATE PUMP"),
    })
}

fn stream(mut cursor: Cursor<'_>) -> Result<StreamDecl, SqlError> {
    let name = cursor.name("CREATE STREAM")?;
    let mut columns: Vec<(Name, Type)> = Vec::new();
    let place = cursor.place();
    let parts = cursor.list("CREATE STREAM")?;
    if parts.len() > MAX_COLUMNS {
        let problem = format!("more than {MAX_COLUMNS} columns");
        return Err(SqlError::new(place, "CREATE STREAM", problem));
    }
    for part in parts {
        let mut column = Cursor { tokens: part, at: 0 };
        let column_name = column.name("CREATE STREAM")?;
        let type_place = column.place();
        let mut words = Vec::new();
        while column.at < part.len() {
            if column.takes("NOT") {
                column.expect("NULL", "NOT NULL")?;
            } else if is_word(column.peek(), "OPTIONS") || is_word(column.peek(), "DESCRIPTION") {
                break;
            } else {
                words.push(column.peek().to_string());
                column.at += 1;
            }
        }
        let sql_type = Type::parse(&words.join(" ")).map_err(|problem| {
            SqlError::new(type_place, format!("column {}", column_name.text), problem)
        })?;
        if columns.iter().any(|(name, _)| name.text == column_name.text) {
            let construct = format!("column {}", column_name.text);
            return Err(SqlError::new(column_name.place, construct, "declared twice"));
        }
        columns.push((column_name, sql_type));
    }
    if cursor.takes("DESCRIPTION") {
        cursor.at += 1;
    }
    if cursor.at < cursor.tokens.len() {
        let construct = format!("CREATE STREAM .. {}", cursor.peek().to_string().to_uppercase());
        return Err(SqlError::unsupported(cursor.place(), construct)
            .instead("declare the columns, and fill the stream by a pump"));
    }
    Ok(StreamDecl { name, columns })
}

fn pump(mut cursor: Cursor<'_>) -> Result<Pump, SqlError> {
    let name = cursor.name("CREATE PUMP")?;
    if !cursor.takes("STARTED") && is_word(cursor.peek(), "STOPPED") {
        return Err(SqlError::unsupported(cursor.place(), "STOPPED pump")
            .instead("leave the pump out, or write STARTED"));
    }
    if cursor.takes("DESCRIPTION") {
        cursor.at += 1;
    }
    cursor.expect("AS", "CREATE PUMP")?;
    cursor.expect("INSERT", "CREATE PUMP")?;
    cursor.expect("INTO", "CREATE PUMP")?;
    let into = cursor.name("INSERT INTO")?;
    // Columns, unless it is a query in parentheses.
    let next = cursor.tokens.get(cursor.at + 1).map_or(&Token::EOF, |token| &token.token);
    let mut columns = None;
    if *cursor.peek() == Token::LParen && keyword(next) != Keyword::SELECT {
        let parts = cursor.list("INSERT INTO")?;
        let names: Result<Vec<Name>, SqlError> = parts
            .into_iter()
            .map(|part| Cursor { tokens: part, at: 0 }.name("INSERT INTO"))
            .collect();
        columns = Some(names?);
    }
    let place = cursor.place();
    let (tokens, marks) = rewrite(&cursor.tokens[cursor.at..])?;
    let mut parser = parser(tokens);
    let read = parser.parse_query().and_then(|query| {
        if parser.peek_token().token == Token::EOF {
            Ok(query)
        } else {
            let found = parser.peek_token();
            parser.expected("the end of the statement", found)
        }
    });
    let query = read.map_err(|error| {
        let text = error.to_string();
        let (problem, found) = located(&text);
        let construct = format!("pump {}", name.text);
        SqlError::new(found.unwrap_or(place), construct, problem)
    })?;
    Ok(Pump { name, into, columns, query, marks })
}

/// Takes the place out of a message of sqlparser's (`.. at Line: 1, Column: 2`).
fn located(text: &str) -> (String, Option<Place>) {
    let text = text.trim_start_matches("sql parser error: ");
    let place = text.rsplit_once(" at Line: ").and_then(|(problem, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((problem, Place { line: line.parse().ok()?, column: column.trim().parse().ok()? }))
    });
    match place {
        Some((problem, place)) => (problem.to_owned(), Some(place)),
        None => (text.to_owned(), None),
    }
}

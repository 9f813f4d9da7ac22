//! What is cut out of a query's tokens, or rewritten, before sqlparser reads them.

use std::collections::BTreeMap;

use eddy_detect::{ANOMALY_GRADE, ANOMALY_THRESHOLD};
use sqlparser::ast::{Expr, Function, FunctionArguments, WindowType};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::{Kinesis, cased};
use crate::error::{Place, SqlError};

/// `WINDOWED BY STAGGER (PARTITION BY .. RANGE INTERVAL ..)`.
#[derive(Clone, Debug)]
pub(crate) struct Stagger {
    pub(crate) place: Place,
    pub(crate) partition_by: Vec<Expr>,
    pub(crate) range: Expr,
}

/// What sqlparser's tree of a query does not hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Stagger windows, by the place of their `SELECT`.
    pub(crate) staggers: BTreeMap<Place, Stagger>,
    /// `ORDER BY .. WITHIN INTERVAL ..`, by the place of their `SELECT`.
    pub(crate) within: BTreeMap<Place, Expr>,
    /// `CURSOR(SELECT ..) PARTITION BY ..`, by the place of the `SELECT`.
    pub(crate) partitions: BTreeMap<Place, Vec<Expr>>,
    /// `relation OVER (..)`, by the place of the relation's name or of its `SELECT`.
    pub(crate) windows: BTreeMap<Place, WindowType>,
    /// Whether the grade of a score or its threshold is named.
    pub(crate) names_grades: bool,
}

/// The units of intervals, as they stand behind a parenthesis.
const UNITS: [&str; 6] = ["SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"];

/// Words that stand before a parenthesis without being a function's name.
const NOT_FUNCTIONS: [Keyword; 27] = [
    Keyword::ALL,
    Keyword::AND,
    Keyword::AS,
    Keyword::BETWEEN,
    Keyword::BY,
    Keyword::CASE,
    Keyword::DISTINCT,
    Keyword::ELSE,
    Keyword::END,
    Keyword::FROM,
    Keyword::HAVING,
    Keyword::IN,
    Keyword::IS,
    Keyword::JOIN,
    Keyword::LIKE,
    Keyword::NOT,
    Keyword::NULL,
    Keyword::ON,
    Keyword::OR,
    Keyword::OVER,
    Keyword::SELECT,
    Keyword::THEN,
    Keyword::TO,
    Keyword::UNION,
    Keyword::VALUES,
    Keyword::WHEN,
    Keyword::WHERE,
];

/// One level of parentheses.
#[derive(Default)]
struct Level {
    // The place of the SELECT that is being read on this level.
    select: Option<Place>,
    // The name before the parenthesis, in upper case.
    function: Option<String>,
    // Where the parenthesis stands in the output.
    opened_at: usize,
    in_from: bool,
    // Where the relation that is being read begins.
    relation: Option<Place>,
    // The SELECT of the cursor among a function's arguments.
    cursor: Option<Place>,
}

pub(crate) fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Whether the token is that unquoted word, in any case.
pub(crate) fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn unit(token: &Token) -> Option<&'static str> {
    UNITS.into_iter().find(|unit| is_word(token, unit))
}

fn word(text: &str) -> Token {
    Token::Word(Word { value: text.to_owned(), quote_style: None, keyword: Keyword::NoKeyword })
}

/// Rewrites a query's tokens for sqlparser.
pub(crate) fn rewrite(tokens: &[TokenWithSpan]) -> Result<(Vec<TokenWithSpan>, Marks), SqlError> {
    let mut reader = Reader {
        tokens,
        at: 0,
        out: Vec::with_capacity(tokens.len()),
        levels: vec![Level::default()],
        marks: Marks::default(),
    };
    while reader.at < tokens.len() {
        reader.step()?;
    }
    reader.marks.names_grades = tokens.iter().any(|token| match &token.token {
        Token::Word(word) => {
            let name = cased(&word.value, word.quote_style);
            [ANOMALY_GRADE, ANOMALY_THRESHOLD].contains(&name.as_str())
        }
        _ => false,
    });
    Ok((reader.out, reader.marks))
}

struct Reader<'a> {
    tokens: &'a [TokenWithSpan],
    at: usize,
    out: Vec<TokenWithSpan>,
    levels: Vec<Level>,
    marks: Marks,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).map_or(&Token::EOF, |token| &token.token)
    }

    fn place(&self) -> Place {
        self.tokens[self.at].span.start.into()
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never popped")
    }

    fn keep(&mut self) {
        self.out.push(self.tokens[self.at].clone());
        self.at += 1;
    }

    fn step(&mut self) -> Result<(), SqlError> {
        let place = self.place();
        let token = &self.tokens[self.at].token;
        if self.level().in_from && self.level().relation.is_none() {
            self.level().relation = Some(place);
        }
        match (keyword(token), token) {
            (Keyword::SELECT, _) => {
                let level = self.level();
                level.select = Some(place);
                level.in_from = false;
                self.keep();
                // STREAM says what is so anyway.
                self.at += usize::from(is_word(self.peek(0), "STREAM"));
            }
            (Keyword::FROM | Keyword::JOIN, _) => {
                // FROM stands inside EXTRACT, TRIM and the like as well.
                let level = self.level();
                level.in_from = level.function.is_none() || level.select.is_some();
                level.relation = None;
                self.keep();
            }
            (
                Keyword::WHERE
                | Keyword::ON
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER
                | Keyword::WINDOW
                | Keyword::UNION,
                _,
            ) => {
                self.level().in_from = false;
                self.keep();
            }
            (Keyword::BY, _) if self.level().function.as_deref() == Some("STEP") => {
                let mut comma = self.tokens[self.at].clone();
                comma.token = Token::Comma;
                self.out.push(comma);
                self.at += 1;
            }
            (Keyword::OVER, _) if self.level().in_from => self.relation_window()?,
            (_, Token::Comma) => {
                self.level().relation = None;
                self.keep();
            }
            (_, Token::LParen) => {
                let function = match self.out.last().map(|token| &token.token) {
                    Some(Token::Word(word)) if !NOT_FUNCTIONS.contains(&word.keyword) => {
                        Some(word.value.to_uppercase())
                    }
                    _ => None,
                };
                let opened_at = self.out.len();
                self.keep();
                self.levels.push(Level { function, opened_at, ..Level::default() });
            }
            (_, Token::RParen) => self.close(),
            (_, Token::Word(_)) if is_word(token, "WINDOWED") && is_word(self.peek(1), "BY") => {
                self.stagger()?;
            }
            (_, Token::Word(_))
                if is_word(token, "WITHIN") && is_word(self.peek(1), "INTERVAL") =>
            {
                self.within()?;
            }
            (Keyword::PARTITION, _)
                if self.level().cursor.is_some()
                    && self.out.last().is_some_and(|token| token.token == Token::RParen)
                    && is_word(self.peek(1), "BY") =>
            {
                self.partition()?;
            }
            _ => self.keep(),
        }
        Ok(())
    }

    /// `CURSOR(..) PARTITION BY a` or `PARTITION BY (a, b)`.
    fn partition(&mut self) -> Result<(), SqlError> {
        let place = self.place();
        self.at += 2;
        let tokens = if matches!(self.peek(0), Token::LParen) {
            self.balanced()
        } else {
            let begin = self.at;
            while !matches!(self.peek(0), Token::Comma | Token::RParen | Token::EOF) {
                self.at += 1;
            }
            self.tokens[begin..self.at].to_vec()
        };
        let keys = parser(tokens)
            .parse_comma_separated(Parser::parse_expr)
            .map_err(|error| SqlError::new(place, "PARTITION BY", error.to_string()))?;
        let cursor = self.level().cursor.expect("the caller has looked");
        self.marks.partitions.insert(cursor, keys);
        Ok(())
    }

    /// A closing parenthesis, and an interval qualifier behind it: `(a - b) SECOND` becomes
    /// `INTERVAL_SECOND(a - b)`.
    fn close(&mut self) {
        self.keep();
        if self.levels.len() < 2 {
            return;
        }
        let level = self.levels.pop().expect("there are two");
        if let Some(select) = level.select
            && self.level().in_from
            && keyword(self.peek(0)) == Keyword::OVER
        {
            self.level().relation = Some(select);
        }
        if level.function.as_deref() == Some("CURSOR") {
            self.level().cursor = level.select;
        }
        let Some(unit_name) = unit(self.peek(0)) else { return };
        if level.function.is_some() {
            return;
        }
        self.at += 1;
        if matches!(self.peek(0), Token::LParen) {
            while !matches!(self.peek(0), Token::RParen | Token::EOF) {
                self.at += 1;
            }
            self.at += 1;
        }
        let rounds = matches!(self.level().function.as_deref(), Some("FLOOR" | "CEIL" | "CEILING"));
        let mut smallest = unit_name;
        if keyword(self.peek(0)) == Keyword::TO
            && let Some(unit_name) = unit(self.peek(1))
            && !rounds
        {
            smallest = unit_name;
            self.at += 2;
        }
        let mut name = self.out[level.opened_at].clone();
        name.token = word(&format!("INTERVAL_{smallest}"));
        self.out.insert(level.opened_at, name);
    }

    fn stagger(&mut self) -> Result<(), SqlError> {
        let place = self.place();
        let wrong = |problem: &str| {
            SqlError::new(place, "WINDOWED BY", problem).instead(
                "write WINDOWED BY STAGGER (PARTITION BY columns RANGE INTERVAL '1' MINUTE)",
            )
        };
        if !is_word(self.peek(2), "STAGGER") || !matches!(self.peek(3), Token::LParen) {
            return Err(wrong("only STAGGER windows are known"));
        }
        self.at += 3;
        let inside = self.balanced();
        let at = |text: &str| {
            let mut depth = 0;
            inside.iter().position(|token| {
                match token.token {
                    Token::LParen => depth += 1,
                    Token::RParen => depth -= 1,
                    _ => {}
                }
                depth == 0 && is_word(&token.token, text)
            })
        };
        let range_at = at("RANGE").ok_or_else(|| wrong("without a RANGE INTERVAL"))?;
        let first = match at("PARTITION") {
            Some(0) => 2,
            _ => return Err(wrong("without PARTITION BY")),
        };
        let keys = inside.get(first..range_at).ok_or_else(|| wrong("without PARTITION BY"))?;
        let (keys, _) = rewrite(keys)?;
        let partition_by = parser(keys)
            .parse_comma_separated(Parser::parse_expr)
            .map_err(|error| wrong(&error.to_string()))?;
        let range = parser(inside[range_at + 1..].to_vec())
            .parse_expr()
            .map_err(|error| wrong(&error.to_string()))?;
        let select = self.level().select.ok_or_else(|| wrong("outside a SELECT"))?;
        self.marks.staggers.insert(select, Stagger { place, partition_by, range });
        Ok(())
    }

    fn within(&mut self) -> Result<(), SqlError> {
        let place = self.place();
        let begin = self.at + 1;
        self.at += 3;
        while unit(self.peek(0)).is_some() || keyword(self.peek(0)) == Keyword::TO {
            self.at += 1;
        }
        if matches!(self.peek(0), Token::LParen) {
            self.balanced();
        }
        let wrong = |problem: String| SqlError::new(place, "WITHIN INTERVAL", problem);
        let end = self.at.min(self.tokens.len());
        let interval = parser(self.tokens[begin..end].to_vec())
            .parse_expr()
            .map_err(|error| wrong(error.to_string()))?;
        let select =
            self.level().select.ok_or_else(|| wrong("outside a SELECT's ORDER BY".to_owned()))?;
        self.marks.within.insert(select, interval);
        Ok(())
    }

    /// `relation OVER window` in FROM: the window is read as that of a function.
    fn relation_window(&mut self) -> Result<(), SqlError> {
        let place = self.place();
        let relation = self.level().relation.unwrap_or(place);
        let begin = self.at;
        self.at += 1;
        if matches!(self.peek(0), Token::LParen) {
            self.balanced();
        } else {
            self.at += 1;
        }
        let span = self.tokens[begin].span;
        let mut call: Vec<TokenWithSpan> = [word("F"), Token::LParen, Token::RParen]
            .into_iter()
            .map(|token| TokenWithSpan { token, span })
            .collect();
        call.extend_from_slice(&self.tokens[begin..self.at.min(self.tokens.len())]);
        let wrong = |problem: String| SqlError::new(place, "OVER in FROM", problem);
        match parser(call).parse_expr() {
            Ok(Expr::Function(Function {
                over: Some(window),
                args: FunctionArguments::List(_),
                ..
            })) => {
                self.marks.windows.insert(relation, window);
                Ok(())
            }
            Ok(_) => Err(wrong("no window".to_owned())),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Passes what stands in parentheses, and returns it without them.
    fn balanced(&mut self) -> Vec<TokenWithSpan> {
        let begin = self.at + 1;
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.tokens[self.at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        self.tokens[begin.min(self.at)..self.at.saturating_sub(1).max(begin.min(self.at))].to_vec()
    }
}

pub(crate) fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&Kinesis).with_tokens_with_locations(tokens)
}

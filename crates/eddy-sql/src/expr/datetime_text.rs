//! Times as text in formats of Java's `SimpleDateFormat`: CHAR_TO_TIMESTAMP, TIMESTAMP_TO_CHAR.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

/// One part of a format: a letter and how often it stands there, or text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Field(char, usize),
    Text(String),
}

/// A format that was read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Part>);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Format {
    /// Reads a format; the error names the letter that has no meaning here.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            if char == '\'' {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.peek() == Some(&'\'') => {
                            chars.next();
                            quoted.push('\'');
                        }
                        Some('\'') | None => break,
                        Some(char) => quoted.push(char),
                    }
                }
                parts.push(Part::Text(if quoted.is_empty() { "'".to_owned() } else { quoted }));
            } else if char.is_ascii_alphabetic() {
                let mut count = 1;
                while chars.peek() == Some(&char) {
                    chars.next();
                    count += 1;
                }
                if !"yYMdHhmsSaEkKZXz".contains(char) {
                    return Err(format!("the letter {char} of the format is not supported"));
                }
                parts.push(Part::Field(char, count));
            } else {
                match parts.last_mut() {
                    Some(Part::Text(text)) => text.push(char),
                    _ => parts.push(Part::Text(char.to_string())),
                }
            }
        }
        Ok(Self(parts))
    }

    /// Whether it has the year of the week, which says no date.
    pub(super) fn has_week_year(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Field('Y', _)))
    }

    /// The time that a text is; what the format does not name is the first of its kind: 1970,
    /// January, the first, midnight. Behind the format's end anything may stand.
    pub(super) fn parse(&self, text: &str) -> Option<i64> {
        let mut rest = text;
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let (mut hour, mut minute, mut second, mut milli) = (0, 0, 0, 0);
        let (mut afternoon, mut offset_min) = (None, 0);
        for (idx, part) in self.0.iter().enumerate() {
            let (letter, count) = match part {
                Part::Text(text) => {
                    rest = rest.strip_prefix(text.as_str())?;
                    continue;
                }
                Part::Field(letter, count) => (*letter, *count),
            };
            if let ('M', 3..) | ('E', _) | ('a', _) | ('Z' | 'X' | 'z', _) = (letter, count) {
                match letter {
                    'M' => month = name(&mut rest, &MONTHS)? + 1,
                    'E' => drop(name(&mut rest, &DAYS)?),
                    'a' => afternoon = Some(name(&mut rest, &["AM", "PM"])? == 1),
                    _ => offset_min = offset(&mut rest)?,
                }
                continue;
            }
            // Digits that touch the next field are as many as the letters.
            let touches = matches!(self.0.get(idx + 1), Some(Part::Field(..)));
            let number = digits(&mut rest, if touches { count } else { usize::MAX })?;
            match letter {
                'y' if count <= 2 && number < 100 => {
                    year = i32::try_from(number).ok()? + if number < 70 { 2000 } else { 1900 };
                }
                'y' => year = i32::try_from(number).ok()?,
                'M' => month = number,
                'd' => day = number,
                'H' | 'h' | 'K' => hour = number,
                'k' => hour = number % 24,
                'm' => minute = number,
                's' => second = number,
                _ => milli = number,
            }
        }
        if let Some(afternoon) = afternoon {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        let time = date.and_hms_milli_opt(hour, minute, second, milli)?;
        Some(time.and_utc().timestamp_millis() - offset_min * 60_000)
    }

    /// A time as text; `None` where no calendar holds it.
    pub(super) fn write(&self, ms: i64) -> Option<String> {
        let time = DateTime::<Utc>::from_timestamp_millis(ms)?;
        let mut out = String::new();
        for part in &self.0 {
            let (letter, count) = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Field(letter, count) => (*letter, *count),
            };
            let named = |names: &[&str], idx: usize, long: bool| {
                let name = names[idx];
                if long { name.to_owned() } else { name[..3].to_owned() }
            };
            let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
            // The week that has January 1st, from Sunday on, is of the year that begins.
            let to_saturday = i64::from(6 - time.weekday().num_days_from_sunday());
            let year = match letter {
                'Y' => (time + chrono::TimeDelta::days(to_saturday)).year(),
                _ => time.year(),
            };
            let number = match letter {
                'y' | 'Y' if count == 2 => u32::try_from(year.rem_euclid(100)).ok()?,
                'y' | 'Y' => u32::try_from(year).ok()?,
                'M' if count >= 3 => {
                    out.push_str(&named(&MONTHS, usize::try_from(time.month0()).ok()?, count > 3));
                    continue;
                }
                'E' => {
                    let day = time.weekday().num_days_from_monday();
                    out.push_str(&named(&DAYS, usize::try_from(day).ok()?, count > 3));
                    continue;
                }
                'a' => {
                    out.push_str(if time.hour() < 12 { "AM" } else { "PM" });
                    continue;
                }
                'Z' | 'X' | 'z' => {
                    out.push_str(match letter {
                        'Z' => "+0000",
                        'X' => "Z",
                        _ => "UTC",
                    });
                    continue;
                }
                'M' => time.month(),
                'd' => time.day(),
                'H' => time.hour(),
                'k' if time.hour() == 0 => 24,
                'k' => time.hour(),
                'h' => hour12,
                'K' => time.hour() % 12,
                'm' => time.minute(),
                's' => time.second(),
                _ => time.timestamp_subsec_millis(),
            };
            out.push_str(&format!("{number:0count$}"));
        }
        Some(out)
    }
}

fn digits(rest: &mut &str, most: usize) -> Option<u32> {
    let n_digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, tail) = rest.split_at(n_digits);
    *rest = tail;
    number.parse().ok()
}

/// The index of the name that stands here, whole or by its first three letters.
fn name(rest: &mut &str, names: &[&str]) -> Option<u32> {
    let begins =
        |name: &str| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    for (idx, name) in names.iter().enumerate() {
        let short = &name[..name.len().min(3)];
        let length = if begins(name) {
            name.len()
        } else if begins(short) {
            short.len()
        } else {
            continue;
        };
        *rest = &rest[length..];
        return u32::try_from(idx).ok();
    }
    None
}

/// `Z`, `UTC`, `+0200`, `-03:30`, in minutes.
fn offset(rest: &mut &str) -> Option<i64> {
    for zero in ["UTC", "GMT", "Z"] {
        if let Some(tail) = rest.strip_prefix(zero) {
            *rest = tail;
            return Some(0);
        }
    }
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    let mut tail = rest.strip_prefix(['+', '-'])?;
    let hours = i64::from(digits(&mut tail, 2)?);
    tail = tail.strip_prefix(':').unwrap_or(tail);
    let minutes = digits(&mut tail, 2).map_or(0, i64::from);
    *rest = tail;
    Some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_the_parts_that_they_name() {
        let read = |format: &str, text: &str| {
            let ms = Format::read(format).expect("a format").parse(text);
            ms.map(eddy_record::format_timestamp_ms)
        };
        let time = "2009-09-16 03:15:24";
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(read("yyyy-MM-dd hh:mm:ss", time), is("2009-09-16T03:15:24.000Z"));
        assert_eq!(read("yyyy-MM-dd", time), is("2009-09-16T00:00:00.000Z"));
        assert_eq!(read("yyyy-MM", "2009-02"), is("2009-02-01T00:00:00.000Z"));
        assert_eq!(
            read("dd/MMM/yyyy:HH:mm:ss Z", "10/Oct/2000:13:55:36 -0700"),
            is("2000-10-10T20:55:36.000Z")
        );
        assert_eq!(read("yyyyMMddHHmmss", "20090916031524"), is("2009-09-16T03:15:24.000Z"));
        assert_eq!(read("MM/dd/yy h:mm a", "1/2/19 3:04 PM"), is("2019-01-02T15:04:00.000Z"));
        assert_eq!(
            read("yyyy-MM-dd'T'HH:mm:ss.SSS", "2018-01-02T03:04:05.678"),
            is("2018-01-02T03:04:05.678Z")
        );
        assert_eq!(read("yyyy-MM-dd", "2009-13-01"), None);
        assert!(Format::read("yyyy w").is_err());
    }

    #[test]
    fn the_year_of_a_week_is_that_of_its_saturday() {
        let format = Format::read("YYYY-MM-dd'T'HH").expect("a format");
        assert!(format.has_week_year());
        let write = |text: &str| {
            format.write(eddy_record::parse_timestamp_ms(text).expect("a time")).expect("a year")
        };
        assert_eq!(write("2018-07-04 05:00:00"), "2018-07-04T05");
        // December 29th of 2019 is a Sunday.
        assert_eq!(write("2019-12-28 00:00:00"), "2019-12-28T00");
        assert_eq!(write("2019-12-29 00:00:00"), "2020-12-29T00");
    }

    #[test]
    fn formats_write_what_they_read() {
        let format = Format::read("EEE, d MMM yyyy HH:mm:ss.SSS").expect("a format");
        let text = format.write(1_253_070_924_005).expect("a time");
        assert_eq!(text, "Wed, 16 Sep 2009 03:15:24.005");
        assert_eq!(format.parse(&text), Some(1_253_070_924_005));
    }
}

//! Functions without arguments: people, places, companies, addresses of all sorts.

use super::words::{self, pick};
use crate::draw::Random;

pub(super) const ALPHANUMERIC: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
pub(super) const PASSWORD: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const HEX: &[u8] = b"0123456789abcdef";

/// The function of that name.
pub(super) fn plain(name: &str) -> Option<fn(&mut Random) -> String> {
    Some(match name {
        "random.boolean" => |r| (r.below(2) == 1).to_string(),
        "random.uuid" => uuid,
        "random.word" => |r| pick(r, words::NOUNS).to_owned(),
        "random.locale" => |r| pick(r, words::LOCALES).to_owned(),
        "name.firstName" => |r| pick(r, words::FIRST_NAMES).to_owned(),
        "name.lastName" => |r| pick(r, words::LAST_NAMES).to_owned(),
        "name.findName" => full_name,
        "name.prefix" => |r| pick(r, words::NAME_PREFIXES).to_owned(),
        "name.suffix" => |r| pick(r, words::NAME_SUFFIXES).to_owned(),
        "name.title" | "name.jobTitle" => |r| {
            format!(
                "{} {} {}",
                pick(r, words::JOB_DESCRIPTORS),
                pick(r, words::JOB_AREAS),
                pick(r, words::JOB_TYPES)
            )
        },
        "name.jobDescriptor" => |r| pick(r, words::JOB_DESCRIPTORS).to_owned(),
        "name.jobArea" => |r| pick(r, words::JOB_AREAS).to_owned(),
        "name.jobType" => |r| pick(r, words::JOB_TYPES).to_owned(),
        "address.city" => city,
        "address.cityPrefix" => |r| pick(r, words::CITY_PREFIXES).to_owned(),
        "address.citySuffix" => |r| pick(r, words::CITY_SUFFIXES).to_owned(),
        "address.streetName" => street,
        "address.streetAddress" => |r| format!("{} {}", r.within(1, 9999), street(r)),
        "address.streetSuffix" => |r| pick(r, words::STREET_SUFFIXES).to_owned(),
        "address.streetPrefix" => |r| pick(r, words::CITY_PREFIXES).to_owned(),
        "address.secondaryAddress" => {
            |r| format!("{} {}", pick(r, &["Apt.", "Suite"]), r.within(100, 999))
        }
        "address.county" => |r| format!("{} County", pick(r, words::LAST_NAMES)),
        "address.country" => |r| pick(r, words::COUNTRIES).1.to_owned(),
        "address.countryCode" => |r| pick(r, words::COUNTRIES).0.to_owned(),
        "address.state" => |r| pick(r, words::STATES).1.to_owned(),
        "address.stateAbbr" => |r| pick(r, words::STATES).0.to_owned(),
        "address.latitude" => |r| degrees(r, 90),
        "address.longitude" => |r| degrees(r, 180),
        "phone.phoneNumberFormat" => |r| digits(r, "###-###-####"),
        "phone.phoneFormats" => |_| "###-###-####".to_owned(),
        "company.companyName" => {
            |r| format!("{} {}", pick(r, words::LAST_NAMES), pick(r, words::COMPANY_SUFFIXES))
        }
        "company.companySuffix" => |r| pick(r, words::COMPANY_SUFFIXES).to_owned(),
        "company.suffixes" => |_| words::COMPANY_SUFFIXES.join(","),
        "company.catchPhrase" => |r| {
            format!(
                "{} {} {}",
                pick(r, words::PRODUCT_ADJECTIVES),
                pick(r, words::ADJECTIVES),
                pick(r, words::TECHNICAL_NOUNS)
            )
        },
        "company.bs" => |r| {
            format!(
                "{} {} {}",
                pick(r, words::VERBS),
                pick(r, words::ADJECTIVES),
                pick(r, words::TECHNICAL_NOUNS)
            )
        },
        "company.catchPhraseAdjective" => |r| pick(r, words::PRODUCT_ADJECTIVES).to_owned(),
        "company.catchPhraseDescriptor" | "company.bsAdjective" | "hacker.adjective" => {
            |r| pick(r, words::ADJECTIVES).to_owned()
        }
        "company.catchPhraseNoun" | "company.bsNoun" | "hacker.noun" => {
            |r| pick(r, words::TECHNICAL_NOUNS).to_owned()
        }
        "company.bsBuzz" | "hacker.verb" => |r| pick(r, words::VERBS).to_owned(),
        "hacker.ingverb" => |r| format!("{}ing", pick(r, words::VERBS)),
        "hacker.abbreviation" => |r| pick(r, words::ABBREVIATIONS).to_owned(),
        "hacker.phrase" => |r| {
            format!(
                "{} the {} {} before the {} {}s it.",
                capital(pick(r, words::VERBS)),
                pick(r, words::ABBREVIATIONS),
                pick(r, words::TECHNICAL_NOUNS),
                pick(r, words::TECHNICAL_NOUNS),
                pick(r, words::VERBS)
            )
        },
        "commerce.color" => |r| pick(r, words::COLORS).to_owned(),
        "commerce.department" => |r| pick(r, words::DEPARTMENTS).to_owned(),
        "commerce.product" => |r| pick(r, words::PRODUCTS).to_owned(),
        "commerce.productAdjective" => |r| pick(r, words::PRODUCT_ADJECTIVES).to_owned(),
        "commerce.productMaterial" => |r| pick(r, words::MATERIALS).to_owned(),
        "commerce.productName" => |r| {
            format!(
                "{} {} {}",
                pick(r, words::PRODUCT_ADJECTIVES),
                pick(r, words::MATERIALS),
                pick(r, words::PRODUCTS)
            )
        },
        "finance.accountName" => |r| format!("{} Account", pick(r, words::ACCOUNTS)),
        "finance.transactionType" => |r| pick(r, words::TRANSACTIONS).to_owned(),
        "finance.currencyCode" => |r| pick(r, words::CURRENCIES).0.to_owned(),
        "finance.currencyName" => |r| pick(r, words::CURRENCIES).1.to_owned(),
        "finance.currencySymbol" => |r| pick(r, words::CURRENCIES).2.to_owned(),
        "finance.bitcoinAddress" => |r| {
            let (first, n_chars) = (pick(r, &["1", "3"]), r.within(26, 33));
            format!("{first}{}", from_chars(r, n_chars, ALPHANUMERIC).to_uppercase())
        },
        "internet.ip" => |r| {
            [r.below(256), r.below(256), r.below(256), r.below(256)]
                .map(|n| n.to_string())
                .join(".")
        },
        "internet.ipv6" => |r| {
            let blocks: Vec<String> = (0..8).map(|_| from_chars(r, 4, HEX)).collect();
            blocks.join(":")
        },
        "internet.mac" => |r| {
            let pairs: Vec<String> = (0..6).map(|_| from_chars(r, 2, HEX)).collect();
            pairs.join(":")
        },
        "internet.email" => |r| format!("{}@{}", user(r), pick(r, words::MAIL_HOSTS)),
        "internet.exampleEmail" => {
            |r| format!("{}@example.{}", user(r), pick(r, &["com", "org", "net"]))
        }
        "internet.userName" => user,
        "internet.protocol" => |r| pick(r, &["http", "https"]).to_owned(),
        "internet.url" => |r| format!("{}://{}", pick(r, &["http", "https"]), domain(r)),
        "internet.domainName" => domain,
        "internet.domainSuffix" => |r| pick(r, words::DOMAINS).to_owned(),
        "internet.domainWord" => |r| pick(r, words::LAST_NAMES).to_lowercase(),
        "internet.color" => |r| format!("#{}", from_chars(r, 6, HEX)),
        "internet.userAgent" => user_agent,
        "internet.avatar" | "image.avatar" => {
            |r| format!("https://example.com/avatars/{}.png", r.below(1000))
        }
        "image.image" | "image.imageUrl" | "random.image" | "image.abstract" | "image.animals"
        | "image.business" | "image.cats" | "image.city" | "image.food" | "image.nightlife"
        | "image.fashion" | "image.people" | "image.nature" | "image.sports" | "image.technics"
        | "image.transport" => {
            |r| format!("https://example.com/images/640x480/{}.png", r.below(1000))
        }
        "lorem.word" => |r| pick(r, words::LOREM).to_owned(),
        "lorem.slug" => |r| {
            format!("{}-{}-{}", pick(r, words::LOREM), pick(r, words::LOREM), pick(r, words::LOREM))
        },
        "system.fileName" | "system.commonFileName" => |r| {
            format!(
                "{}_{}.{}",
                pick(r, words::NOUNS),
                pick(r, words::LOREM),
                pick(r, words::FILES).0
            )
        },
        "system.fileExt" | "system.commonFileExt" => |r| pick(r, words::FILES).0.to_owned(),
        "system.mimeType" => |r| pick(r, words::FILES).1.to_owned(),
        "system.fileType" | "system.commonFileType" => |r| {
            let kind = pick(r, words::FILES).1;
            kind.split('/').next().unwrap_or(kind).to_owned()
        },
        "system.semver" => |r| format!("{}.{}.{}", r.below(10), r.below(10), r.below(10)),
        _ => return None,
    })
}

/// A text whose every `#` is a digit.
pub(super) fn digits(random: &mut Random, pattern: &str) -> String {
    pattern.chars().map(|c| if c == '#' { digit(random) } else { c }).collect()
}

/// The same, and every `?` a letter.
pub(super) fn symbols(random: &mut Random, pattern: &str) -> String {
    let symbol = |c| match c {
        '#' => digit(random),
        '?' => char::from(LETTERS[random.index(LETTERS.len())]),
        c => c,
    };
    pattern.chars().map(symbol).collect()
}

fn digit(random: &mut Random) -> char {
    char::from(b'0' + random.below(10).to_le_bytes()[0])
}

pub(super) fn from_chars(random: &mut Random, n_chars: u64, chars: &[u8]) -> String {
    (0..n_chars).map(|_| char::from(chars[random.index(chars.len())])).collect()
}

pub(super) fn phone(random: &mut Random) -> String {
    let pattern =
        pick(random, &["###-###-####", "(###) ###-####", "1-###-###-####", "###.###.####"]);
    digits(random, pattern)
}

/// A sentence of so many words, 3 to 10 for 0.
pub(super) fn sentence(random: &mut Random, n_words: u64) -> String {
    let n_words = if n_words == 0 { random.within(3, 10) } else { n_words };
    let words: Vec<&str> = (0..n_words).map(|_| pick(random, words::LOREM)).collect();
    format!("{}.", capital(&words.join(" ")))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn uuid(random: &mut Random) -> String {
    // Version 4, variant 1.
    let mut bits = random.bits();
    let mut text = String::with_capacity(36);
    for (idx, c) in "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".chars().enumerate() {
        if idx == 18 {
            bits = random.bits();
        }
        let nibble = usize::try_from(bits & 15).unwrap_or(0);
        match c {
            'x' => text.push(char::from(HEX[nibble])),
            'y' => text.push(char::from(HEX[8 + nibble % 4])),
            c => {
                text.push(c);
                continue;
            }
        }
        bits >>= 4;
    }
    text
}

fn full_name(random: &mut Random) -> String {
    format!("{} {}", pick(random, words::FIRST_NAMES), pick(random, words::LAST_NAMES))
}

fn city(random: &mut Random) -> String {
    let name = pick(random, words::LAST_NAMES);
    let suffix = pick(random, words::CITY_SUFFIXES);
    match random.below(2) {
        0 => format!("{} {name}{suffix}", pick(random, words::CITY_PREFIXES)),
        _ => format!("{name}{suffix}"),
    }
}

fn street(random: &mut Random) -> String {
    format!("{} {}", pick(random, words::LAST_NAMES), pick(random, words::STREET_SUFFIXES))
}

fn user(random: &mut Random) -> String {
    let first = pick(random, words::FIRST_NAMES);
    let last = pick(random, words::LAST_NAMES);
    match random.below(3) {
        0 => format!("{first}{}", random.below(100)),
        1 => format!("{first}.{last}"),
        _ => format!("{first}_{last}{}", random.below(100)),
    }
}

fn domain(random: &mut Random) -> String {
    format!("{}.{}", pick(random, words::LAST_NAMES).to_lowercase(), pick(random, words::DOMAINS))
}

fn degrees(random: &mut Random, most: u64) -> String {
    let steps = i64::try_from(random.within(0, 2 * most * 10_000)).unwrap_or(0);
    let middle = i64::try_from(most * 10_000).unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "at most 3.6 million")]
    let degrees = (steps - middle) as f64 / 10_000.0;
    format!("{degrees:.4}")
}

fn user_agent(random: &mut Random) -> String {
    let system = pick(random, words::SYSTEMS);
    let version = random.within(100, 140);
    match random.below(2) {
        0 => format!("Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"),
        _ => format!(
            "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 \
             Safari/537.36"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn addresses_and_ids_have_their_form() {
        let mut random = Random::new(1, Purpose::Template);
        let mut made = |name: &str| plain(name).expect("known")(&mut random);
        for _ in 0..200 {
            let ip = made("internet.ip");
            assert!(ip.parse::<std::net::Ipv4Addr>().is_ok(), "{ip}");
            assert!(made("internet.ipv6").parse::<std::net::Ipv6Addr>().is_ok());
            let uuid = made("random.uuid");
            let bytes = uuid.as_bytes();
            assert!(uuid.len() == 36 && bytes[14] == b'4', "{uuid}");
            assert!(b"89ab".contains(&bytes[19]), "{uuid}");
            let degrees: f64 = made("address.latitude").parse().expect("a number");
            assert!((-90.0..=90.0).contains(&degrees));
            let email = made("internet.email");
            assert!(email.split('@').count() == 2 && !email.contains(' '), "{email}");
            assert!(["true", "false"].contains(&made("random.boolean").as_str()));
        }
        assert_eq!(symbols(&mut random, "A-").len(), 2);
    }
}

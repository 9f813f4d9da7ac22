//! Words to draw from: our own short lists.

use crate::draw::Random;

/// One of a list, which is not empty.
pub(super) fn pick<T: Copy>(random: &mut Random, list: &[T]) -> T {
    list[random.index(list.len())]
}

pub(super) const MONTHS: &[&str] = &[
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
pub(super) const WEEKDAYS: &[&str] =
    &["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const FIRST_NAMES: &[&str] = &[
    "Ada", "Amir", "Anna", "Ben", "Bruno", "Carla", "Chen", "Clara", "Dana", "David", "Diego",
    "Edith", "Elena", "Emil", "Emma", "Farid", "Felix", "Frida", "Grace", "Hana", "Henry", "Ida",
    "Igor", "Ines", "Ivan", "Jack", "Jane", "Jonas", "Julia", "Kai", "Karim", "Lara", "Leo",
    "Lina", "Lucas", "Maria", "Max", "Mia", "Nina", "Noah", "Olga", "Omar", "Oscar", "Paula",
    "Peter", "Priya", "Rosa", "Ruth", "Sam", "Sara", "Sofia", "Theo", "Tom", "Uma", "Vera",
    "Victor", "Wei", "Yara", "Yuki", "Zoe",
];
pub(super) const LAST_NAMES: &[&str] = &[
    "Abbott", "Adler", "Ahmed", "Baker", "Bauer", "Berg", "Brown", "Campos", "Carter", "Chavez",
    "Clark", "Cohen", "Costa", "Dahl", "Diaz", "Dubois", "Evans", "Fischer", "Ford", "Fuchs",
    "Garcia", "Gray", "Hall", "Hansen", "Hill", "Hoffman", "Ito", "Jensen", "Jones", "Kaya",
    "Keller", "Khan", "Kim", "King", "Kovacs", "Lang", "Lee", "Lopez", "Martin", "Meyer", "Miller",
    "Moore", "Nguyen", "Novak", "Okafor", "Olsen", "Patel", "Perez", "Quinn", "Reed", "Rossi",
    "Sato", "Schmidt", "Silva", "Singh", "Smith", "Tanaka", "Turner", "Vogel", "Weber",
];
pub(super) const NAME_PREFIXES: &[&str] = &["Mr.", "Mrs.", "Ms.", "Miss", "Dr."];
pub(super) const NAME_SUFFIXES: &[&str] = &["Jr.", "Sr.", "II", "III", "MD", "PhD"];
pub(super) const JOB_DESCRIPTORS: &[&str] =
    &["Lead", "Senior", "Chief", "Regional", "Global", "Junior", "Principal", "Internal"];
pub(super) const JOB_AREAS: &[&str] =
    &["Quality", "Operations", "Data", "Security", "Research", "Markets", "Network", "Accounts"];
pub(super) const JOB_TYPES: &[&str] =
    &["Engineer", "Analyst", "Manager", "Architect", "Technician", "Planner", "Officer"];
pub(super) const CITY_PREFIXES: &[&str] =
    &["North", "South", "East", "West", "New", "Lake", "Port"];
pub(super) const CITY_SUFFIXES: &[&str] =
    &["ton", "ville", "burg", "ford", "field", "port", "stad", "haven", "side"];
pub(super) const STREET_SUFFIXES: &[&str] =
    &["Street", "Road", "Avenue", "Lane", "Way", "Square", "Drive", "Court", "Park", "Hill"];
pub(super) const COUNTRIES: &[(&str, &str)] = &[
    ("AR", "Argentina"),
    ("AU", "Australia"),
    ("AT", "Austria"),
    ("BD", "Bangladesh"),
    ("BE", "Belgium"),
    ("BR", "Brazil"),
    ("CA", "Canada"),
    ("CL", "Chile"),
    ("CN", "China"),
    ("CO", "Colombia"),
    ("CZ", "Czechia"),
    ("DK", "Denmark"),
    ("EG", "Egypt"),
    ("EE", "Estonia"),
    ("FI", "Finland"),
    ("FR", "France"),
    ("DE", "Germany"),
    ("GH", "Ghana"),
    ("GR", "Greece"),
    ("HU", "Hungary"),
    ("IS", "Iceland"),
    ("IN", "India"),
    ("ID", "Indonesia"),
    ("IE", "Ireland"),
    ("IL", "Israel"),
    ("IT", "Italy"),
    ("JP", "Japan"),
    ("KE", "Kenya"),
    ("MX", "Mexico"),
    ("MA", "Morocco"),
    ("NL", "Netherlands"),
    ("NZ", "New Zealand"),
    ("NG", "Nigeria"),
    ("NO", "Norway"),
    ("PK", "Pakistan"),
    ("PE", "Peru"),
    ("PH", "Philippines"),
    ("PL", "Poland"),
    ("PT", "Portugal"),
    ("KR", "South Korea"),
    ("ES", "Spain"),
    ("SE", "Sweden"),
    ("CH", "Switzerland"),
    ("TR", "Turkey"),
    ("UA", "Ukraine"),
    ("GB", "United Kingdom"),
    ("US", "United States"),
    ("VN", "Vietnam"),
    ("ZA", "South Africa"),
];
pub(super) const STATES: &[(&str, &str)] = &[
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];
pub(super) const LOCALES: &[&str] =
    &["en", "de", "fr", "es", "it", "nl", "pl", "pt_BR", "ja", "ko"];
pub(super) const COMPANY_SUFFIXES: &[&str] = &["Inc", "LLC", "Group", "and Sons", "Ltd"];
pub(super) const ADJECTIVES: &[&str] = &[
    "adaptive",
    "digital",
    "global",
    "modular",
    "neural",
    "open",
    "optical",
    "parallel",
    "primary",
    "redundant",
    "robust",
    "scalable",
    "virtual",
    "wireless",
];
pub(super) const TECHNICAL_NOUNS: &[&str] = &[
    "array",
    "bandwidth",
    "bus",
    "circuit",
    "driver",
    "firewall",
    "interface",
    "matrix",
    "network",
    "pixel",
    "port",
    "program",
    "protocol",
    "sensor",
    "system",
];
pub(super) const VERBS: &[&str] = &[
    "bypass", "connect", "index", "input", "override", "parse", "reboot", "reset", "scan",
    "transmit",
];
pub(super) const ABBREVIATIONS: &[&str] = &[
    "AI", "API", "CSS", "DNS", "FTP", "HDD", "HTTP", "IP", "JSON", "RAM", "SQL", "SSD", "TCP",
    "USB", "XML",
];
pub(super) const NOUNS: &[&str] = &[
    "anchor", "bridge", "candle", "desert", "engine", "forest", "garden", "harbor", "island",
    "jacket", "kettle", "ladder", "market", "needle", "orchard", "pencil", "quarry", "river",
    "saddle", "timber", "valley", "window",
];
pub(super) const COLORS: &[&str] = &[
    "red", "green", "blue", "yellow", "purple", "orange", "teal", "grey", "black", "white",
    "magenta", "olive", "gold", "silver",
];
pub(super) const DEPARTMENTS: &[&str] = &[
    "Books",
    "Music",
    "Films",
    "Games",
    "Computers",
    "Home",
    "Garden",
    "Tools",
    "Grocery",
    "Health",
    "Toys",
    "Baby",
    "Clothing",
    "Shoes",
    "Sports",
    "Automotive",
];
pub(super) const PRODUCTS: &[&str] = &[
    "Chair", "Table", "Lamp", "Keyboard", "Mouse", "Shirt", "Shoes", "Gloves", "Bike", "Ball",
    "Towels", "Soap", "Car", "Computer", "Pizza", "Cheese",
];
pub(super) const PRODUCT_ADJECTIVES: &[&str] = &[
    "Small",
    "Large",
    "Light",
    "Sturdy",
    "Simple",
    "Elegant",
    "Handmade",
    "Practical",
    "Quiet",
    "Modern",
    "Classic",
    "Reliable",
];
pub(super) const MATERIALS: &[&str] =
    &["Steel", "Wooden", "Concrete", "Plastic", "Cotton", "Granite", "Rubber", "Glass", "Wool"];
pub(super) const ACCOUNTS: &[&str] =
    &["Checking", "Savings", "Investment", "Credit Card", "Home Loan", "Auto Loan"];
pub(super) const TRANSACTIONS: &[&str] = &["deposit", "withdrawal", "payment", "invoice"];
pub(super) const CURRENCIES: &[(&str, &str, &str)] = &[
    ("USD", "US Dollar", "$"),
    ("EUR", "Euro", "€"),
    ("GBP", "Pound Sterling", "£"),
    ("JPY", "Yen", "¥"),
    ("CNY", "Yuan Renminbi", "¥"),
    ("INR", "Indian Rupee", "₹"),
    ("CHF", "Swiss Franc", "CHF"),
    ("SEK", "Swedish Krona", "kr"),
    ("BRL", "Brazilian Real", "R$"),
    ("CAD", "Canadian Dollar", "$"),
    ("AUD", "Australian Dollar", "$"),
    ("KRW", "Won", "₩"),
];
pub(super) const MAIL_HOSTS: &[&str] =
    &["example.com", "example.org", "example.net", "mail.example"];
pub(super) const DOMAINS: &[&str] = &["com", "org", "net", "io", "info", "biz"];
pub(super) const SYSTEMS: &[&str] = &[
    "Windows NT 10.0; Win64; x64",
    "X11; Linux x86_64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "Android 14; Mobile",
];
pub(super) const FILES: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("json", "application/json"),
    ("csv", "text/csv"),
    ("txt", "text/plain"),
    ("html", "text/html"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("zip", "application/zip"),
];
pub(super) const LOREM: &[&str] = &[
    "alias", "aliquam", "amet", "animi", "aut", "beatae", "commodi", "culpa", "debitis", "dolor",
    "eius", "enim", "error", "est", "fuga", "harum", "ipsa", "ipsum", "labore", "magni", "minus",
    "modi", "natus", "nihil", "odit", "omnis", "porro", "quae", "quia", "ratione", "rerum", "sed",
    "sint", "sit", "sunt", "tempore", "ullam", "unde", "vel", "vitae",
];

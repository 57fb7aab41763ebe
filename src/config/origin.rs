//! Where the connection of a domain is written, so that whoever says what is wrong with it can say where to mend it.

use super::connection::Password;

/// Where the connection of a domain is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a variable for each setting.
    Variables {
        /// What their names begin with, such as `OMS_DB_`.
        prefix: String,
    },
    /// In a URL; what that does not say may stand in variables.
    Url {
        /// What the names of all its variables begin with.
        prefix: String,
        /// The variable that has the URL, or names its file.
        variable: String,
    },
    /// In the graph, as a node's `connection:`.
    Graph,
}

impl Origin {
    /// Where a setting is written. `key` is how its variable ends (`SSLMODE`), `part` what a URL calls it (`sslmode`).
    pub fn of(&self, key: &str, part: &str) -> String {
        match self {
            Self::Variables { prefix } => format!("{prefix}{key}"),
            Self::Url { variable, .. } => format!("the {part} in {variable}"),
            Self::Graph => format!("the {part} in the graph's `connection:`"),
        }
    }

    /// Where the password is written, or would best be.
    pub fn of_password(&self, password: &Password) -> String {
        match (self, password) {
            (Self::Graph, _) => self.of("PASSWORD", "password"),
            (Self::Url { variable, .. }, Password::Given(_)) => format!("the password of {variable}"),
            (Self::Variables { prefix }, Password::Given(_)) => format!("{prefix}PASSWORD"),
            (Self::Variables { prefix } | Self::Url { prefix, .. }, Password::None | Password::File(_)) => {
                format!("{prefix}PASSWORD_FILE")
            }
        }
    }
}

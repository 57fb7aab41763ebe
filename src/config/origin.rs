//! Where the connection of a domain is configured, so that an error message can name the place to correct.

use super::connection::Password;

/// Where the connection of a domain is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a variable for each setting.
    Variables {
        /// What their names begin with, such as `OMS_DB_`.
        prefix: String,
    },
    /// In a URL; variables may have what the URL leaves out.
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
    /// Where a setting is configured. `key` is the end of its variable (`SSLMODE`), `part` its parameter in a URL (`sslmode`).
    pub fn of(&self, key: &str, part: &str) -> String {
        match self {
            Self::Variables { prefix } => format!("{prefix}{key}"),
            Self::Url { variable, .. } => format!("the {part} in {variable}"),
            Self::Graph => format!("the {part} in the graph's `connection:`"),
        }
    }

    /// Where the token of a service is configured.
    pub fn of_token(&self) -> String {
        match self {
            Self::Variables { prefix } | Self::Url { prefix, .. } => format!("{prefix}TOKEN_FILE"),
            Self::Graph => "the token".to_owned(),
        }
    }

    /// Where the password of the write role is configured, or should be. It is never part of a URL.
    pub fn of_write_password(&self, password: &Password) -> String {
        match self {
            Self::Variables { prefix } | Self::Url { prefix, .. } => {
                Self::Variables { prefix: format!("{prefix}WRITE_") }.of_password(password)
            }
            Self::Graph => self.of_password(password),
        }
    }

    /// Where the password is configured, or should be.
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

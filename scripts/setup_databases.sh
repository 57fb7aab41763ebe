#!/usr/bin/env bash
#
# Creates the four databases of the shipped flow, their tables and their sample rows on your own PostgreSQL server or
# servers. Running it again changes nothing that exists.
#
# Usage: scripts/setup_databases.sh [--env-file FILE] [domain...]
#
#   domain           oms_db, inventory_db, supplier_db or uom_db; default: all four
#   --env-file FILE  default: .env in the current directory, if there is one
#
# It reads the variables that `tributary serve` reads, from the environment and below it from the .env file:
# X_DB_HOST, X_DB_PORT, X_DB_USER, X_DB_PASSWORD or X_DB_PASSWORD_FILE, X_DB_NAME, or X_DB_URL in their place, with
# ${NAME} replaced by another variable. A domain for which none of them is set goes to the server of DB_HOST, DB_PORT,
# DB_USER and DB_PASSWORD (default: postgres on localhost:5432), into a database of the domain's name.
#
# Where OMS_DB_WRITE_USER is set, that role is created unless it exists, with the password of OMS_DB_WRITE_PASSWORD or
# OMS_DB_WRITE_PASSWORD_FILE, and may write what sql/oms_db_writer.sql says.
#
# The role must own the database, or be allowed to create it. Where the service itself only reads, name another role
# for this once: OMS_DB_USER=owner OMS_DB_PASSWORD_FILE=owner.secret scripts/setup_databases.sh oms_db
#
# Needs psql. Exits with 1 if any domain failed; the others are still set up.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly sql=${here%/*}/sql
readonly all_domains=(oms_db inventory_db supplier_db uom_db)
readonly keys=(HOST PORT USER PASSWORD PASSWORD_FILE WRITE_USER WRITE_PASSWORD WRITE_PASSWORD_FILE NAME URL
    APPLICATION_NAME CONNECT_TIMEOUT OPTIONS SSLMODE)

# The current domain, which every error names.
domain=
die() {
    printf 'setup_databases: %s%s\n' "${domain:+$domain: }" "$*" >&2
    exit 1
}
usage() { sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//p;}' "$0"; }

# --- The environment --------------------------------------------------------------------------------------------------
# Functions below return their result in REPLY. Variables of the .env file are kept as dotenv_NAME. No message repeats a
# value, because it may be a password.

# shellcheck disable=SC2016 # literal text
readonly reference='${' literal='$${'

is_name() { [[ $1 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; }

read_dotenv() {
    local file=$1 number=0 first line name value
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        first=$number
        line=${line%$'\r'}
        [[ $number == 1 ]] && line=${line#$'\xef\xbb\xbf'}
        line=${line#"${line%%[![:space:]]*}"}
        [[ -z $line || $line == '#'* ]] && continue
        line=${line#export }
        name=${line%%=*} value=${line#*=}
        name=${name%"${name##*[![:space:]]}"}
        if [[ $line != *=* ]] || ! is_name "$name"; then
            die "$file:$number: this line does not set a variable"
        fi
        value=${value#"${value%%[![:space:]]*}"}
        # A quoted value may have many lines.
        until unquote "$value"; do
            if [[ $value != [\'\"]* ]] || ! IFS= read -r line; then
                die "$file:$first: $name: a value with spaces or quotes stands in quotes, and those are closed"
            fi
            number=$((number + 1))
            value+=$'\n'${line%$'\r'}
        done
        is_read "$name" && die "$file:$number: $name is set twice in this file"
        printf -v "dotenv_$name" '%s' "$REPLY"
    done <"$file"
}

is_read() {
    local variable=dotenv_$1
    [[ -n ${!variable+x} ]]
}

# Removes the quotes of a value; fails if they are not closed. In single quotes nothing is replaced.
unquote() {
    local value=$1 two_backslashes=$'\\\\' backslash=$'\001' newline=$'\\n'
    local single="^'([^']*)'[[:space:]]*(#.*)?\$"
    local double='^"(([^"\\]|\\.)*)"[[:space:]]*(#.*)?$'
    local bare='^(([^[:space:]"'\''\\]|\\.)*)([[:space:]]+#.*|[[:space:]]*)$'
    if [[ $value =~ $single ]]; then
        REPLY=${BASH_REMATCH[1]//"$reference"/$literal}
        return
    elif [[ $value =~ $double || $value =~ $bare ]]; then
        REPLY=${BASH_REMATCH[1]}
    else
        return 1
    fi
    REPLY=${REPLY//"$two_backslashes"/$backslash}
    REPLY=${REPLY//"$newline"/$'\n'}
    REPLY=${REPLY//"\\$reference"/$literal}
    REPLY=${REPLY//\\/}
    REPLY=${REPLY//$backslash/\\}
}

# The value of a variable with references replaced; fails if it is not set. $2 is the chain of variables that led here.
lookup() {
    local name=$1 chain=${2:-} variable=dotenv_$1 value
    [[ " $chain " != *" $name "* ]] || die "variables refer to each other in a circle: ${chain// / -> } -> $name"
    if value=$(printenv "$name"); then
        # Other variables of the environment are used verbatim.
        [[ $name == *_DB_* || $name == DB_* ]] || {
            REPLY=$value
            return
        }
    elif is_read "$name"; then
        value=${!variable}
    else
        return 1
    fi
    expand "$value" verbatim "$chain $name"
}

verbatim() { REPLY=$1; }

# Replaces ${NAME} in $1 by the variable, and passes the text between references through the function $2.
expand() {
    local rest=$1 transform=$2 chain=${3:-} out='' before name
    while [[ $rest == *"$reference"* ]]; do
        before=${rest%%"$reference"*} rest=${rest#*"$reference"}
        if [[ $before == *'$' ]]; then
            "$transform" "${before%'$'}"
            out+=$REPLY$reference
            continue
        fi
        name=${rest%%'}'*}
        if [[ $rest != *'}'* ]] || ! is_name "$name"; then
            die "a '$reference' needs the name of a variable and a '}' after it"
        fi
        rest=${rest#*'}'}
        "$transform" "$before"
        out+=$REPLY
        lookup "$name" "$chain" || die "\${$name} is not set"
        out+=$REPLY
    done
    "$transform" "$rest"
    REPLY=$out$REPLY
}

percent_decoded() {
    local plain=${1//\\/\\\\}
    [[ $1 =~ ^([^%]|%[0-9A-Fa-f]{2})*$ ]] || die "in a URL '%' is followed by two hexadecimal digits; a literal '%' is %25"
    printf -v REPLY '%b' "${plain//%/\\x}"
}

# --- Where a domain's database is -------------------------------------------------------------------------------------
# psql gets everything through the environment, because every user of the machine can see command lines.

# Sets PGHOST and so on for the domain $1 with the variables that start with $2.
read_parts() {
    local prefix=$2 pair
    PGHOST=localhost PGPORT=5432 PGUSER=postgres PGDATABASE=$1
    for pair in HOST=PGHOST PORT=PGPORT USER=PGUSER NAME=PGDATABASE SSLMODE=PGSSLMODE; do
        # A domain's table does not belong into the database of the default connection.
        [[ $prefix$pair != DB_NAME=* ]] || continue
        if lookup "$prefix${pair%=*}" && [[ -n $REPLY ]]; then printf -v "${pair#*=}" '%s' "$REPLY"; fi
    done
}

# Sets them from a URL, as libpq does.
read_url() {
    local url=$1 rest before query='' authority userinfo='' hosts path='' one pair
    [[ $url == postgres://* || $url == postgresql://* ]] || die "a connection URL starts with postgres://"
    rest=${url#*://} before=${rest%%\?*}
    [[ $rest == *\?* ]] && query=${rest#*\?}
    authority=${before%%/*}
    [[ $before == */* ]] && path=${before#*/}
    hosts=${authority##*@}
    [[ $authority == *@* ]] && userinfo=${authority%@*}
    PGHOST='' PGPORT='' PGUSER=postgres PGDATABASE=$domain
    if [[ -n ${userinfo%%:*} ]]; then set_part PGUSER "${userinfo%%:*}"; fi
    if [[ $userinfo == *:?* ]]; then set_part PGPASSWORD "${userinfo#*:}"; fi
    if [[ -n $path ]]; then set_part PGDATABASE "$path"; fi
    while IFS= read -r -d , one; do
        [[ $one =~ ^(\[(.*)\]|[^:]*)(:([0-9]*))?$ ]] || die "URL: a host is followed by at most one ':' and a port"
        pair=${BASH_REMATCH[2]:-${BASH_REMATCH[1]}}
        PGHOST+=,$pair PGPORT+=,${BASH_REMATCH[4]:-}
    done <<<"$hosts,"
    set_part PGHOST "${PGHOST#,}"
    PGPORT=${PGPORT#,}
    while IFS= read -r -d '&' one; do
        [[ -n $one ]] && read_parameter "${one%%=*}" "${one#*=}"
    done <<<"$query&"
    PGHOST=${PGHOST:-localhost} PGPORT=${PGPORT:-5432}
}

read_parameter() {
    case $1 in
    host) set_part PGHOST "$2" ;;
    port) set_part PGPORT "$2" ;;
    user) set_part PGUSER "$2" ;;
    password) set_part PGPASSWORD "$2" ;;
    dbname) set_part PGDATABASE "$2" ;;
    options) set_part PGOPTIONS "$2" ;;
    application_name) set_part PGAPPNAME "$2" ;;
    connect_timeout) set_part PGCONNECT_TIMEOUT "$2" ;;
    sslmode) set_part PGSSLMODE "$2" ;;
    sslrootcert) set_part PGSSLROOTCERT "$2" ;;
    sslcert) set_part PGSSLCERT "$2" ;;
    sslkey) set_part PGSSLKEY "$2" ;;
    # Creating tables needs a server that accepts writes, whatever the service needs.
    target_session_attrs) ;;
    *) die "URL: unknown parameter" ;;
    esac
}

set_part() {
    expand "$2" percent_decoded
    printf -v "$1" '%s' "$REPLY"
}

# The secret of the variable $1, or in the file that $1_FILE names; empty without one.
read_secret() {
    local file
    if lookup "$1_FILE" && [[ -n $REPLY ]]; then
        file=$REPLY REPLY=''
        [[ -r $file ]] || die "the file of $1_FILE cannot be read"
        IFS= read -r REPLY <"$file" || [[ -n $REPLY ]] || die "the file of $1_FILE is empty"
    elif ! lookup "$1"; then
        REPLY=''
    fi
}

# Sets what may accompany both single variables and a URL.
read_extras() {
    local prefix=$1
    read_secret "${prefix}PASSWORD"
    [[ -z $REPLY ]] || PGPASSWORD=$REPLY
    if lookup "${prefix}CONNECT_TIMEOUT" && [[ -n $REPLY ]]; then PGCONNECT_TIMEOUT=$REPLY; fi
    if lookup "${prefix}APPLICATION_NAME" && [[ -n $REPLY ]]; then PGAPPNAME=$REPLY; fi
    if lookup "${prefix}OPTIONS" && [[ -n $REPLY ]]; then PGOPTIONS=$REPLY; fi
}

is_configured() {
    local key
    for key in "${keys[@]}"; do
        if [[ -n $(printenv "$1$key" || true) ]]; then return 0; fi
        if is_read "$1$key"; then
            key=dotenv_$1$key
            if [[ -n ${!key} ]]; then return 0; fi
        fi
    done
    return 1
}

# The value as written: a URL is split before its references are replaced.
raw() {
    local variable=dotenv_$1
    REPLY=$(printenv "$1") || { is_read "$1" && REPLY=${!variable}; }
    [[ -n $REPLY ]]
}

# What the variables of the domain $1 begin with.
prefix_of() { REPLY=$(tr '[:lower:]' '[:upper:]' <<<"$1")_; }

configure() {
    local prefix url
    prefix_of "$1"
    prefix=$REPLY
    # The caller's psql settings have no effect.
    unset PGSERVICE PGSERVICEFILE PGPASSFILE PGHOSTADDR PGSSLMODE PGOPTIONS PGPASSWORD PGTARGETSESSIONATTRS
    PGPASSWORD='' PGCONNECT_TIMEOUT=10 PGAPPNAME=setup_databases
    is_configured "$prefix" || prefix=DB_
    if raw "${prefix}URL"; then
        url=$REPLY
        if [[ $url != *://* ]]; then lookup "${prefix}URL" && url=$REPLY; fi
        read_url "$url"
        [[ $prefix != DB_ ]] || PGDATABASE=$1
    else
        read_parts "$1" "$prefix"
    fi
    read_extras "$prefix"
    [[ $PGHOST != *,* ]] || export PGTARGETSESSIONATTRS=read-write
    export PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGCONNECT_TIMEOUT PGAPPNAME
    export PGSSLMODE="${PGSSLMODE:-}" PGOPTIONS="${PGOPTIONS:-}"
    [[ -n $PGSSLMODE ]] || unset PGSSLMODE
}

# --- The work ---------------------------------------------------------------------------------------------------------

# Runs psql, which reads its statements from standard input by default.
query() { psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }

# As `query`, in the database `postgres`, where `createdb` goes too; :name is the domain's database.
query_server() {
    local name=$PGDATABASE
    local -x PGDATABASE=postgres
    query --set=name="$name"
}

ensure_database() {
    local refused known
    refused=$(query --command='SELECT 1' 2>&1 >/dev/null) && return
    known=$(query_server 2>/dev/null <<<"SELECT count(*) FROM pg_database WHERE datname = :'name'") || known=unknown
    [[ $known == 0 ]] || die "cannot connect: ${refused#psql: }"
    refused=$(query_server 2>&1 <<<'CREATE DATABASE :"name"') || die "cannot create the database '$PGDATABASE': $refused"
    printf '%-13s created the database %s\n' "$domain:" "$PGDATABASE"
}

# Creates the role of the domain's effects unless it exists, and lets it write.
allow_writes() {
    local grants=$sql/${domain}_writer.sql prefix role known refused
    prefix_of "$domain"
    prefix=$REPLY
    if [[ ! -r $grants ]] || ! lookup "${prefix}WRITE_USER" || [[ -z $REPLY ]]; then return; fi
    role=$REPLY
    known=$(query --set=role="$role" 2>&1 <<<"SELECT count(*) FROM pg_roles WHERE rolname = :'role'") ||
        die "cannot read the roles: $known"
    if [[ $known == 0 ]]; then
        read_secret "${prefix}WRITE_PASSWORD"
        # Terse, because a longer message may repeat the statement.
        refused=$(password=$REPLY query --set=role="$role" --set=VERBOSITY=terse 2>&1 <<'END'
\set password `printf %s "$password"`
CREATE ROLE :"role" LOGIN PASSWORD :'password';
END
        ) || die "cannot create the role of ${prefix}WRITE_USER: $refused; an administrator can create it, and this script" \
            "then grants what it needs"
        printf '%-13s created the role %s\n' "$domain:" "$role"
    fi
    refused=$(sed 's/tributary_writer/:"role"/' "$grants" |
        query --single-transaction --set=role="$role" --file=- 2>&1) ||
        die "cannot let the role of ${prefix}WRITE_USER write: $refused"
    printf '%-13s %s may write\n' "$domain:" "$role"
}

setup() {
    local said table rows
    configure "$domain"
    ensure_database
    PGOPTIONS="$PGOPTIONS -c client_min_messages=warning"
    said=$(query --single-transaction --file="$sql/$domain.sql" 2>&1) ||
        die "cannot create the table: $said"
    table=$(sed -n '/^CREATE TABLE/{s/^CREATE TABLE IF NOT EXISTS \([a-z_]*\) .*/\1/p;q;}' "$sql/$domain.sql")
    rows=$(query --command="SELECT count(*) FROM $table" 2>&1) || die "cannot read the table: $rows"
    printf '%-13s %s has %s rows, in %s on %s:%s\n' "$domain:" "$table" "$rows" "$PGDATABASE" "$PGHOST" "$PGPORT"
    allow_writes
}

main() {
    local env_file='' domains=() failed=0 known
    while (($#)); do
        case $1 in
        -h | --help)
            usage
            return
            ;;
        --env-file)
            [[ -r ${2:-} ]] || die "--env-file needs a file that can be read"
            env_file=$2
            shift
            ;;
        *)
            [[ " ${all_domains[*]} " == *" $1 "* ]] || die "there is no domain '$1'; known: ${all_domains[*]} (see --help)"
            domains+=("$1")
            ;;
        esac
        shift
    done
    ((${#domains[@]})) || domains=("${all_domains[@]}")
    [[ -n $env_file || ! -r .env ]] || env_file=.env
    if ! command -v psql >/dev/null; then
        known=$("$here/install_postgres" --find 2>/dev/null) || known=''
        [[ -x $known/psql ]] ||
            die "psql is not installed (Debian: apt-get install postgresql-client; macOS: brew install libpq);" \
                "scripts/install_postgres installs it with the server"
        PATH=$PATH:$known
    fi
    [[ -z $env_file ]] || read_dotenv "$env_file"
    for domain in "${domains[@]}"; do
        # A subshell, so that a failure and settings of one domain do not affect the next.
        (setup) || failed=1
    done
    return "$failed"
}

main "$@"

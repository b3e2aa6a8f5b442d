"""A scan for SQL that MySQL 8.0, MySQL 8.4 or MariaDB 10.11 lacks, or reads differently from the others.

The tests run on MariaDB, which refuses what it lacks itself; most rules here are for SQL that MariaDB accepts and MySQL
does not. Each rule has an example that it finds. Comments and quoted texts are ignored.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MYSQL_RESERVED = frozenset(
    """
    accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade case
    change char character check collate column condition constraint continue convert create cross cube cume_dist
    current_date current_time current_timestamp current_user cursor database databases day_hour day_microsecond
    day_minute day_second dec decimal declare default delayed delete dense_rank desc describe deterministic distinct
    distinctrow div double drop dual each else elseif empty enclosed escaped except exists exit explain false fetch
    first_value float float4 float8 for force foreign from fulltext function generated get grant group grouping groups
    having high_priority hour_microsecond hour_minute hour_second if ignore in index infile inner inout insensitive
    insert int int1 int2 int3 int4 int8 integer intersect interval into io_after_gtids io_before_gtids is iterate join
    json_table key keys kill lag last_value lateral lead leading leave left like limit linear lines load localtime
    localtimestamp lock long longblob longtext loop low_priority manual master_bind master_ssl_verify_server_cert match
    maxvalue mediumblob mediumint mediumtext middleint minute_microsecond minute_second mod modifies natural not
    no_write_to_binlog nth_value ntile null numeric of on optimize optimizer_costs option optionally or order out outer
    outfile over parallel partition percent_rank precision primary procedure purge qualify range rank read reads
    read_write real recursive references regexp release rename repeat replace require resignal restrict return revoke
    right rlike row rows row_number schema schemas second_microsecond select sensitive separator set show signal
    smallint spatial specific sql sqlexception sqlstate sqlwarning sql_big_result sql_calc_found_rows sql_small_result
    ssl starting stored straight_join system table tablesample terminated then tinyblob tinyint tinytext to trailing
    trigger true undo union unique unlock unsigned update usage use using utc_date utc_time utc_timestamp values
    varbinary varchar varcharacter varying virtual when where while window with write xor year_month zerofill
    """.split()  # noqa: SIM905 - to be read
)
"""Words of MySQL 8.0, and those that 8.4 adds: manual, parallel, qualify, tablesample."""
MYSQL_ONLY = frozenset(
    """
    cube cume_dist dense_rank empty first_value function generated get grouping groups io_after_gtids io_before_gtids
    json_table lag last_value lateral lead manual master_bind nth_value ntile of optimizer_costs option parallel
    percent_rank qualify rank row schema database stored system tablesample virtual window
    """.split()  # noqa: SIM905 - as above
)
"""The reserved words of MySQL that MariaDB 10.11 accepts as names."""
_CALLED = "cume_dist|database|dense_rank|first_value|lag|last_value|lead|nth_value|ntile|percent_rank|rank|row|schema"
_BEFORE = "(?<!create )(?<!drop )(?<!alter )(?<!grant )(?<!show create )(?<!exists )"
_RESERVED = re.compile(
    rf"(?<![.@\w]){_BEFORE}(?!(?:{_CALLED})\s*\()(?:{'|'.join(sorted(MYSQL_ONLY))})\b(?!\s+always\b)", re.IGNORECASE
)


@dataclass(frozen=True)
class Rule:
    """A forbidden pattern, the reason, and an example. ``raw`` also searches comments and quotes."""

    name: str
    pattern: str
    why: str
    example: str
    raw: bool = False


RULES = (
    Rule("returning", r"\breturning\b", "MySQL has none", "delete from t where i = 1 returning i"),
    Rule(
        "row alias",
        r"\)\s*as\s+\w+\s*(\([^)]*\)\s*)?on\s+duplicate\b",
        "MariaDB has none",
        "insert into t values (1) as new on duplicate key update i = new.i",
    ),
    Rule(
        "values() of a duplicate",
        r"\bon\s+duplicate\b.*\bvalues\s*\(",
        "MySQL warns that it will go, and a load takes no warning",
        "insert into t values (1) on duplicate key update i = values(i)",
    ),
    Rule(
        "sequence",
        r"\bsequence\b|\bnextval\b|\blastval\b|\b(next|previous)\s+value\s+for\b",
        "MySQL has none",
        "create sequence s",
    ),
    Rule(
        "collation of MySQL",
        r"\butf8mb4_\w*0900_",
        "MariaDB has none",
        "create table t (c char(1) collate utf8mb4_0900_bin)",
    ),
    Rule(
        "collation of MariaDB",
        r"\w+_nopad_\w+|\w*uca1400_\w+",
        "MySQL has none",
        "create table t (c char(1) collate utf8mb4_nopad_bin)",
    ),
    Rule(
        "narrow character set",
        r"\butf8(mb3)?(_\w+)?\b",
        "it lacks emoji, and what utf8 stands for depends on the server",
        "create table t (c char(1)) character set utf8",
    ),
    Rule(
        "intersect, except",
        r"\b(intersect|except|minus)\b",
        "MySQL before 8.0.31 has neither, and MariaDB binds them otherwise",
        "select i from t except select i from u",
    ),
    Rule(
        "exchange without validation",
        r"\bwith(out)?\s+validation\b",
        "MariaDB 10.11 has none",
        "alter table t exchange partition p with table u without validation",
    ),
    Rule(
        "invisible",
        r"\b(in)?visible\b|\b(not\s+)?ignored\b",
        "index and column options of different names",
        "create table t (i int invisible)",
    ),
    Rule(
        "index of an expression",
        r"\b(index|key)\b\s*\w*\s*(on\s+\w+\s*)?\(\s*\(",
        "MariaDB has none",
        "create index i on t ((lower(c)))",
    ),
    Rule(
        "if exists of a column or index",
        r"\b(add|drop|modify|change|rename)\s+((unique\s+)?(column|index|key|constraint|foreign\s+key|partition)\s+)?if\b"
        r"|\b(create|drop)\s+(unique\s+)?index\s+if\b|\bcreate\s+view\s+if\b",
        "MySQL has it for tables, databases and users alone",
        "alter table t add column if not exists i int",
    ),
    Rule(
        "create or replace",
        r"\bcreate\s+or\s+replace\s+(?!(sql\s+security\s+\w+\s+)?view\b)",
        "MySQL has it for views alone",
        "create or replace table t (i int)",
    ),
    Rule("json", r"\bjson\b|->", "a type of MySQL, a name for text in MariaDB; no -> there", "select c->'$.a' from t"),
    Rule(
        "window",
        r"\b(ignore|respect)\s+nulls\b|\bwithin\s+group\b|\brange\s+between\s+interval\b"
        r"|\bexclude\s+(current|group|ties|no)\b|\bfrom\s+(first|last)\s+over\b",
        "either lacks a part of it",
        "select max(i) over (order by d range between interval 1 day preceding and current row) from t",
    ),
    Rule(
        "function of one server",
        r"\b(any_value|median|percentile_cont|percentile_disc|regexp_like|uuid_to_bin|bin_to_uuid|to_char|to_number"
        r"|add_months|nvl2?|chr|json_detailed|natural_sort_key|sformat)\s*\(",
        "one of them has none",
        "select nvl(a, b) from t",
    ),
    Rule(
        "type of one server",
        r"[(,]\s*\w+\s+(uuid|inet[46]|xmltype|number|varchar2|clob|raw)\b",
        "MySQL has none",
        "create table t (u uuid)",
    ),
    Rule(
        "cast",
        r"\bas\s+(varchar|text|integer|int|bigint|boolean|timestamp)\b",
        "MySQL casts to char, signed, unsigned, decimal, double, date, datetime and time alone",
        "select cast(i as varchar(9)) from t",
    ),
    Rule("locking", r"\bfor\s+share\b|\bfor\s+update\s+of\b", "MariaDB has none", "select i from t for share"),
    Rule(
        "alias of a row deleted",
        r"\bdelete\s+from\s+\w+\s+(as\s+)?(?!where\b|using\b|order\b|limit\b|partition\b|as\b)\w+",
        "MariaDB 10.11 has none",
        "delete from t as x where x.i = 1",
    ),
    Rule(
        "change of what is read",
        r"\bdelete\s+from\s+(\w+)\b(?=.*\b(from|join)\s+\1\b)|^\s*update\s+(\w+)\b(?=.*\b(from|join)\s+\3\b)",
        "MySQL refuses to read the table that it changes",
        "delete from t where i not in (select max(i) from t)",
    ),
    Rule(
        "with before a change",
        r"^\s*with\b.*\)\s*(update|delete|insert|replace)\b",
        "MariaDB 10.11 has none",
        "with a as (select 1 as i) delete from t where i in (select i from a)",
    ),
    Rule(
        "table of values",
        r"\bvalues\s+row\s*\(|(\bfrom|\bunion(\s+all)?|\bas|\bjoin)\s*\(?\s*values\s*\(",
        "rows are written otherwise",
        "select * from (values (1), (2)) as v",
    ),
    Rule(
        "user",
        r"\bidentified\s+(via|with)\b|\bgrant\b.*\bidentified\b|\bset\s+default\s+role\b",
        "users are made otherwise",
        "grant select on d.* to u identified by 'p'",
    ),
    Rule(
        "limit of one server",
        r"\bfetch\s+(first|next)\b|\brows\s+examined\b|\boffset\s+\d+\s+rows?\b",
        "MySQL has none",
        "select i from t fetch first 3 rows only",
    ),
    Rule(
        "limit of a list",
        r"\bgroup_concat\s*\([^()]*\blimit\b",
        "MySQL has none",
        "select group_concat(i limit 3) from t",
    ),
    Rule(
        "versioned table",
        r"\bsystem\s+versioning\b|\bsystem_time\b|\bperiod\s+for\b",
        "MySQL has none",
        "create table t (i int) with system versioning",
    ),
    Rule(
        "variables of a statement",
        r"^\s*set\s+statement\b",
        "MySQL has none",
        "set statement max_statement_time=1 for select 1",
    ),
    Rule(
        "variable of one server",
        r"\b(tx_isolation|transaction_isolation|tx_read_only|transaction_read_only|max_statement_time|max_execution_time"
        r"|idle_transaction_timeout|idle_write_transaction_timeout|idle_readonly_transaction_timeout)\b",
        "the others have none of that name",
        "select @@tx_isolation",
    ),
    Rule(
        "display width",
        r"\b(tiny|small|medium|big)?int(eger)?\s*\(\d|\b(float|double)\s*\(\d+\s*,|\bzerofill\b",
        "MySQL warns that it will go",
        "create table t (i int(11))",
    ),
    Rule(
        "reference at a column",
        r"(?<![)\s])\s+references\b",
        "MySQL reads over it: foreign keys stand after the columns",
        "create table t (i int references u (i))",
    ),
    Rule(
        "constraint that is off",
        r"\bnot\s+enforced\b",
        "MariaDB has none",
        "create table t (i int, check (i > 0) not enforced)",
    ),
    Rule(
        "other engine",
        r"\bengine\s*=?\s*(?!innodb\b)\w+",
        "no transactions, or one of them has none",
        "create table t (i int) engine=aria",
    ),
    Rule(
        "compressed pages",
        r"\bpage_compressed\b|\bcompression\s*=",
        "either has one",
        "create table t (i int) page_compressed=1",
    ),
    Rule(
        "plan with times",
        r"^\s*analyze\s+(select|format)\b|\bexplain\s+analyze\b|\bpersistent\s+for\b",
        "said otherwise",
        "explain analyze select 1",
    ),
    Rule(
        "standard SQL",
        r"::|\|\||\bfull\s+(outer\s+)?join\b|\bis\s+(not\s+)?distinct\s+from\b|\bnulls\s+(first|last)\b|\bilike\b"
        r"|\bfilter\s*\(\s*where\b",
        "neither has it, or only in another mode",
        "select a || b from t",
    ),
    Rule("name in double quotes", r'"', "a text, but for another mode", 'select "a" from t'),
    Rule(
        "statement in a comment",
        r"/\*M?!",
        "one server reads it and another does not",
        "/*!80000 select 1 */",
        raw=True,
    ),
    Rule(
        "mode that is gone",
        r"\bno_auto_create_user\b",
        "MySQL 8 refuses it",
        "set sql_mode = 'NO_AUTO_CREATE_USER'",
        raw=True,
    ),
)


def findings(statement: str) -> list[str]:
    """Return what one of the three servers does not accept in a statement, or an empty list."""
    return list(_findings(statement))


def _findings(statement: str) -> Iterator[str]:
    code = bare(statement)
    for rule in RULES:
        if found := re.search(rule.pattern, statement if rule.raw else code, re.IGNORECASE | re.DOTALL):
            yield f"{rule.name}: {found[0]!r}: {rule.why}"
    for word in _RESERVED.finditer(code):
        yield f"reserved word: {word[0]!r}: MySQL takes it as a name only in quotes"


def bare(statement: str) -> str:
    """Return a statement without its comments and without the contents of quotes."""
    quoted = r"'(?:[^'\\]|\\.|'')*'|`[^`]*`"
    comment = r"--(?=\s|$)[^\n]*|#[^\n]*|/\*.*?\*/"
    return re.sub(
        f"({quoted})|{comment}",
        lambda match: 2 * match[1][0] if match[1] else " ",
        statement,
        flags=re.DOTALL,
    )


def statements(script: str) -> list[str]:
    """Return the statements of a script, each with its comments."""
    parts = re.findall(r"(?:'(?:[^'\\]|\\.|'')*'|--[^\n]*|[^;'-]|-)+", script)
    return [part.strip() for part in parts if bare(part).strip()]

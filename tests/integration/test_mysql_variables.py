"""Session variables of each server: set by the connection, refused by name, or known to have no effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from marquee.errors import ConfigError, MarqueeError, TryAgainError
from marquee.mart.admin import check_mart, init_mart
from marquee.mart.mysql.connection import mysql_session
from marquee.mart.mysql.variables import FIXED, LEAST_PACKET, PACKET, REFUSED, values_of
from marquee.mart.questions import QUESTIONS, ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import kiosk_of, load
from tests.helpers_mysql import all_rows, load_mysql, restate, settings_of, small_lake
from tests.mariadb_server import MariaDB, MysqlDatabase, SqlServer

NO_EFFECT = {
    "both": """
        auto_increment_increment auto_increment_offset big_tables binlog_direct_non_transactional_updates
        binlog_row_image bulk_insert_buffer_size character_set_database character_set_filesystem character_set_server
        collation_database collation_server default_storage_engine default_tmp_storage_engine eq_range_index_dive_limit
        error_count explicit_defaults_for_timestamp external_user identity innodb_ft_enable_stopword
        innodb_ft_user_stopword_table innodb_strict_mode innodb_table_locks innodb_tmpdir insert_id interactive_timeout
        join_buffer_size keep_files_on_create last_insert_id long_query_time low_priority_updates max_delayed_threads
        max_heap_table_size max_insert_delayed_threads max_length_for_sort_data max_seeks_for_key max_sp_recursion_depth
        max_user_connections min_examined_row_limit myisam_sort_buffer_size myisam_stats_method net_buffer_length
        net_read_timeout net_retry_count net_write_timeout old_alter_table optimizer_prune_level optimizer_search_depth
        optimizer_switch optimizer_trace optimizer_trace_max_mem_size preload_buffer_size profiling
        profiling_history_size proxy_user pseudo_slave_mode pseudo_thread_id query_alloc_block_size query_prealloc_size
        rand_seed1 rand_seed2 range_alloc_block_size read_buffer_size read_rnd_buffer_size session_track_schema
        session_track_state_change session_track_system_variables session_track_transaction_info sort_buffer_size
        sql_buffer_result sql_log_off sql_quote_show_create sql_warnings timestamp tmp_table_size
        transaction_alloc_block_size transaction_prealloc_size updatable_views_with_limit warning_count
    """,
    "MySQL": """
        binlog_row_value_options binlog_rows_query_log_events binlog_transaction_compression
        binlog_transaction_compression_level_zstd block_encryption_mode connection_memory_chunk_size
        connection_memory_limit cte_max_recursion_depth default_collation_for_utf8mb4 default_table_encryption
        enable_cascade_triggers enable_secondary_engine_statistics end_markers_in_json explain_format
        explain_json_format_version external_table_secondary_storage_engine external_table_storage_engine
        generated_random_password_length global_connection_memory_tracking group_replication_consistency gtid_next
        gtid_owned histogram_generation_max_mem_size immediate_server_version information_schema_stats_expiry
        innodb_ddl_buffer_size innodb_ddl_threads innodb_parallel_read_threads internal_tmp_mem_storage_engine
        max_points_in_geometry optimizer_max_subgraph_pairs optimizer_trace_features optimizer_trace_limit
        optimizer_trace_offset original_commit_timestamp original_server_version parser_max_mem_size
        print_identified_with_as_hex pseudo_replica_mode range_optimizer_max_mem_size rbr_exec_mode
        restrict_fk_on_non_standard_key secondary_engine_cost_threshold select_into_buffer_size select_into_disk_sync
        select_into_disk_sync_delay session_track_gtids set_operations_buffer_size
        show_create_table_skip_secondary_engine show_create_table_verbosity
        show_gipk_in_create_table_and_information_schema sql_generate_invisible_primary_key sql_require_primary_key
        statement_id terminology_use_previous transaction_allow_batching use_secondary_engine xa_detach_on_prepare
        resultset_metadata
    """,
    "MariaDB": """
        alter_algorithm analyze_max_length analyze_sample_percentage aria_repair_threads aria_sort_buffer_size
        aria_stats_method binlog_alter_two_phase binlog_annotate_row_events column_compression_threshold
        column_compression_zlib_level column_compression_zlib_strategy column_compression_zlib_wrap
        deadlock_search_depth_long deadlock_search_depth_short deadlock_timeout_long deadlock_timeout_short
        default_master_connection default_regex_flags enforce_storage_engine expensive_subquery_limit gtid_domain_id
        gtid_seq_no histogram_size histogram_type idle_readonly_transaction_timeout idle_transaction_timeout
        in_predicate_conversion_threshold in_transaction innodb_compression_default innodb_default_encryption_key_id
        join_buffer_space_limit join_cache_level last_gtid log_disabled_statements log_queries_not_using_indexes
        log_slow_admin_statements log_slow_disabled_statements log_slow_filter log_slow_max_warnings
        log_slow_min_examined_row_limit log_slow_query log_slow_query_time log_slow_rate_limit
        log_slow_slave_statements log_slow_verbosity log_warnings max_recursive_iterations max_relay_log_size
        max_rowid_filter_size max_session_mem_used max_tmp_tables mrr_buffer_size myisam_repair_threads note_verbosity
        old old_passwords optimizer_adjust_secondary_key_costs optimizer_extra_pruning_depth
        optimizer_join_limit_pref_ratio optimizer_max_sel_arg_weight optimizer_max_sel_args
        optimizer_selectivity_sampling_limit optimizer_use_condition_selectivity progress_report_time
        query_cache_strip_comments query_cache_type query_cache_wlock_invalidate rowid_merge_buff_size server_id
        skip_parallel_replication slow_query_log sql_slave_skip_counter standard_compliant_cte storage_engine
        system_versioning_alter_history system_versioning_insert_history tcp_nodelay thread_pool_priority
        tmp_disk_table_size tmp_memory_table_size use_stat_tables wsrep_causal_reads wsrep_gtid_seq_no wsrep_on
        wsrep_osu_method wsrep_retry_autocommit wsrep_sync_wait wsrep_trx_fragment_size wsrep_trx_fragment_unit
    """,
}
"""Variables that change neither answers nor rows: caches, logs, the optimizer's ways, what our statements say
themselves (engine, character set, keys) or do not use (recursion, random numbers, the time), and limits whose error
names the variable."""

GLOBAL_ONLY = 1238
"""Code of the error for a variable that a session does not have."""

ODD = {
    "completion_type": "'CHAIN'",
    "transaction_isolation": "'READ-UNCOMMITTED'",
    "tx_isolation": "'READ-UNCOMMITTED'",
    "transaction_read_only": "ON",
    "tx_read_only": "ON",
    "sql_select_limit": "1",
    "max_join_size": "1",
    "sql_big_selects": "OFF",
    "sql_safe_updates": "ON",
    "max_execution_time": "1",
    "max_statement_time": "1",
    "max_error_count": "0",
    "sql_notes": "OFF",
    "sql_mode": "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE'",
    "old_mode": "''",
    "time_zone": "'+05:00'",
    "sql_auto_is_null": "ON",
    "div_precision_increment": "0",
    "windowing_use_high_precision": "OFF",
    "group_concat_max_len": "4",
    "max_sort_length": "64",
    "default_week_format": "3",
    "lc_time_names": "'de_DE'",
    "lc_messages": "'de_DE'",
    "character_set_client": "latin1",
    "character_set_connection": "latin1",
    "character_set_results": "latin1",
    "collation_connection": "latin1_german1_ci",
    "foreign_key_checks": "OFF",
    "unique_checks": "OFF",
    "check_constraint_checks": "OFF",
    "innodb_snapshot_isolation": "ON",
    "sql_if_exists": "ON",
}
"""A value for each variable, other than ours, that a user without privileges may set."""
NOT_FOR_USERS = {"sql_log_bin", "skip_replication", "require_row_format", "wsrep_dirty_reads", "autocommit"}
"""Variables that only an administrator may set, and autocommit, which the driver sets."""


def session_variables(server: SqlServer) -> set[str]:
    """Return the names of all variables that a session has."""
    found = set()
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("show session variables")
        for name, _ in cursor.fetchall():
            try:
                cursor.execute(f"select @@session.`{name}`")
            except pymysql.MySQLError as error:
                if error.args[0] != GLOBAL_ONLY:
                    raise
            else:
                found.add(name)
    return found


@contextmanager
def configured(server: SqlServer, name: str, value: str) -> Iterator[None]:
    """Set a global variable while the block runs."""
    ((_, before),) = server.ask("show global variables like %s", arguments=[name])
    server.ask(f"set global {name} = {value}")
    try:
        yield
    finally:
        as_before = "default" if before == "DEFAULT" else before if before.isdigit() else f"'{before}'"
        server.ask(f"set global {name} = {as_before}")


def test_every_session_variable_is_known(sql_server: SqlServer, mysql_mart: MysqlDatabase) -> None:
    """A variable that a new version of the server brings has to be judged: set, refused, or without effect."""
    kind = "MariaDB" if isinstance(sql_server, MariaDB) else "MySQL"
    without_effect = {*NO_EFFECT["both"].split(), *NO_EFFECT[kind].split()}
    there = session_variables(sql_server)
    ours = {*values_of(settings_of(mysql_mart)), *REFUSED, PACKET}
    assert there - without_effect - ours == set()
    assert without_effect - there == set()
    assert without_effect & ours == set()


def test_every_variable_has_an_odd_value() -> None:
    """Each variable that is set has a value in the test below, or is one that users may not set."""
    assert set(ODD) | NOT_FOR_USERS == set(FIXED)


def test_a_server_that_sets_everything_otherwise(
    lake: LocalStore, mysql_mart: MysqlDatabase, sql_server: SqlServer, tmp_path: Path
) -> None:
    """A server whose init_connect sets all variables otherwise gets the same rows and gives the same answers."""
    there = session_variables(sql_server)
    if not isinstance(sql_server, MariaDB):
        there -= {"max_error_count"}  # which only an administrator of MySQL may set
    odd = [f"{name} = {value}" for name, value in ODD.items() if name in there]
    small = small_lake(lake)
    kiosk = tmp_path / "kiosk.duckdb"
    with configured(sql_server, "init_connect", f'"set session {", ".join(odd)}"'):
        user = (mysql_mart.name, mysql_mart.user, mysql_mart.password)
        with sql_server.connect(*user) as plain, plain.cursor() as cursor:
            cursor.execute("select @@sql_select_limit, @@time_zone")
            assert cursor.fetchall() == ((1, "+05:00"),)
        for _ in range(2):
            assert load_mysql(lake, mysql_mart).exit_code == 0
            load(lake, kiosk)
            assert all_rows(mysql_mart) == all_rows(kiosk)
            for one in QUESTIONS:
                assert ask(settings_of(mysql_mart), one.name, 0) == ask(kiosk_of(kiosk), one.name, 0)
            restate(small, 660)
        with mysql_session(settings_of(mysql_mart)) as session:
            names = ", ".join(f"'{name}'" for name in ODD)
            left: dict[str, str] = dict(session.query(f"show session variables where variable_name in ({names})")[1])
            assert left.keys() >= ODD.keys() & there
            assert {name for name, value in left.items() if f"'{value}'" == ODD[name] or value == ODD[name]} == set()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("binlog_format", "'STATEMENT'", "binlog_format is STATEMENT. Set it to ROW or MIXED at the server"),
        ("system_versioning_asof", "'2020-01-01'", "system_versioning_asof is 2020-01-01 .* Set it to DEFAULT"),
        (PACKET, "524288", f"max_allowed_packet is 524288, .* Set it to {LEAST_PACKET} or more"),
    ],
)
def test_a_setting_of_the_server_is_refused_by_name(
    mysql_mart: MysqlDatabase, sql_server: SqlServer, name: str, value: str, message: str
) -> None:
    """What a connection cannot change is refused with the variable and the value that is needed."""
    if not sql_server.ask("show global variables like %s", arguments=[name]):
        return  # of the other kind of server
    with configured(sql_server, name, value), pytest.raises(ConfigError, match=message):
        check_mart(kiosk_of(mysql_mart))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("require_secure_transport", ConfigError, "(3159 .*: the server requires TLS|1045 ).*set MARQUEE_MART__TLS_CA"),
        ("offline_mode", TryAgainError, "3032 .*: the server accepts no statements now: try again later"),
        ("read_only", TryAgainError, "1290 .*read.only.*: an option of the server, .* prevents the statement"),
    ],
)
def test_a_server_that_is_closed_says_why(
    mysql_mart: MysqlDatabase, sql_server: SqlServer, name: str, error: type[MarqueeError], message: str
) -> None:
    """A server that keeps clients or changes out is told apart by its code, with what to do."""
    if not sql_server.ask("show global variables like %s", arguments=[name]):
        return  # of the other kind of server
    with configured(sql_server, name, "ON"), pytest.raises(error, match=message):
        init_mart(kiosk_of(mysql_mart))


STRICT = {
    "sql_require_primary_key": "ON",
    "sql_generate_invisible_primary_key": "ON",
    "innodb_strict_mode": "ON",
    "innodb_force_primary_key": "ON",
}


@pytest.mark.parametrize("strict", [STRICT, dict.fromkeys(STRICT, "OFF")], ids=["on", "off"])
def test_primary_keys_that_a_server_requires(
    lake: LocalStore, mysql_mart: MysqlDatabase, sql_server: SqlServer, tmp_path: Path, strict: dict[str, str]
) -> None:
    """Every table has a key, so a server may require or generate keys, and check definitions strictly or not."""
    there = {name for (name, _) in sql_server.ask("show global variables")}
    before = dict(sql_server.ask("show global variables"))
    try:
        for name in strict.keys() & there:
            sql_server.ask(f"set global {name} = {strict[name]}")
        small = small_lake(lake)
        assert load_mysql(lake, mysql_mart).exit_code == 0
        restate(small, 660)
        assert load_mysql(lake, mysql_mart).exit_code == 0
        load(lake, tmp_path / "kiosk.duckdb")
        assert all_rows(mysql_mart) == all_rows(tmp_path / "kiosk.duckdb")
    finally:
        for name in strict.keys() & there:
            sql_server.ask(f"set global {name} = {before[name]}")

/* See shim.h. */
#include "shim.h"

#include <stddef.h>

#include "http_config.h"
#include "http_protocol.h"
#include "mod_auth.h"
#include "scoreboard.h"
#include "unixd.h"
#include "util_filter.h"

#define SIZE(type) { #type, sizeof(type) }
#define FIELD(type, field) { #type "." #field, offsetof(type, field) }

/* src/bindings/layout.rs names the same facts in the same order: every structure and field that Rust reads or writes. */
static const wsgi_shim_fact facts[] = {
    { "MODULE_MAGIC_NUMBER_MAJOR", MODULE_MAGIC_NUMBER_MAJOR },
    { "MODULE_MAGIC_NUMBER_MINOR", MODULE_MAGIC_NUMBER_MINOR },
    { "MODULE_MAGIC_COOKIE", MODULE_MAGIC_COOKIE },
    SIZE(request_rec),
    FIELD(request_rec, pool),
    FIELD(request_rec, connection),
    FIELD(request_rec, server),
    FIELD(request_rec, prev),
    FIELD(request_rec, main),
    FIELD(request_rec, the_request),
    FIELD(request_rec, protocol),
    FIELD(request_rec, hostname),
    FIELD(request_rec, request_time),
    FIELD(request_rec, status_line),
    FIELD(request_rec, status),
    FIELD(request_rec, method_number),
    FIELD(request_rec, method),
    FIELD(request_rec, expecting_100),
    FIELD(request_rec, headers_in),
    FIELD(request_rec, headers_out),
    FIELD(request_rec, err_headers_out),
    FIELD(request_rec, subprocess_env),
    FIELD(request_rec, notes),
    FIELD(request_rec, handler),
    FIELD(request_rec, user),
    FIELD(request_rec, ap_auth_type),
    FIELD(request_rec, uri),
    FIELD(request_rec, filename),
    FIELD(request_rec, path_info),
    FIELD(request_rec, args),
    FIELD(request_rec, used_path_info),
    FIELD(request_rec, bytes_sent),
    FIELD(request_rec, eos_sent),
    FIELD(request_rec, per_dir_config),
    FIELD(request_rec, request_config),
    FIELD(request_rec, log_id),
    FIELD(request_rec, output_filters),
    FIELD(request_rec, input_filters),
    FIELD(request_rec, proto_input_filters),
    FIELD(request_rec, no_cache),
    FIELD(request_rec, no_local_copy),
    FIELD(request_rec, parsed_uri),
    FIELD(request_rec, finfo),
    FIELD(request_rec, useragent_ip),
    SIZE(conn_rec),
    FIELD(conn_rec, master),
    FIELD(conn_rec, client_addr),
    FIELD(conn_rec, local_addr),
    FIELD(conn_rec, local_ip),
    FIELD(conn_rec, pool),
    FIELD(conn_rec, bucket_alloc),
    FIELD(conn_rec, conn_config),
    FIELD(conn_rec, sbh),
    FIELD(conn_rec, output_filters),
    FIELD(conn_rec, aborted),
    FIELD(conn_rec, keepalive),
    FIELD(conn_rec, log_id),
    SIZE(server_rec),
    FIELD(server_rec, process),
    FIELD(server_rec, error_fname),
    FIELD(server_rec, error_log),
    FIELD(server_rec, defn_name),
    FIELD(server_rec, defn_line_number),
    FIELD(server_rec, timeout),
    FIELD(server_rec, module_config),
    FIELD(server_rec, next),
    FIELD(server_rec, is_virtual),
    FIELD(server_rec, server_admin),
    FIELD(server_rec, server_hostname),
    FIELD(process_rec, pool),
    FIELD(unixd_config_rec, user_id),
    FIELD(unixd_config_rec, group_id),
    FIELD(ap_unixd_mpm_retained_data, shutdown_pending),
    FIELD(ap_unixd_mpm_retained_data, restart_pending),
    FIELD(ap_unixd_mpm_retained_data, is_ungraceful),
    FIELD(ap_unixd_mpm_retained_data, was_graceful),
    SIZE(apr_proc_t),
    FIELD(apr_proc_t, pid),
    SIZE(cmd_parms),
    FIELD(cmd_parms, limited),
    FIELD(cmd_parms, directive),
    FIELD(cmd_parms, pool),
    FIELD(cmd_parms, temp_pool),
    FIELD(cmd_parms, server),
    FIELD(cmd_parms, path),
    FIELD(cmd_parms, context),
    FIELD(ap_directive_t, directive),
    FIELD(ap_directive_t, args),
    FIELD(ap_directive_t, next),
    FIELD(ap_directive_t, first_child),
    FIELD(ap_directive_t, parent),
    FIELD(ap_directive_t, filename),
    FIELD(ap_directive_t, line_num),
    FIELD(cmd_parms, cmd),
    SIZE(ap_directive_t),
    FIELD(ap_directive_t, filename),
    FIELD(ap_directive_t, line_num),
    SIZE(command_rec),
    SIZE(module),
    FIELD(module, module_index),
    FIELD(ap_filter_t, frec),
    FIELD(ap_filter_rec_t, ftype),
    SIZE(apr_bucket),
    FIELD(apr_bucket, length),
    FIELD(apr_bucket, start),
    SIZE(apr_finfo_t),
    FIELD(apr_finfo_t, filetype),
    FIELD(apr_finfo_t, mtime),
    FIELD(apr_sockaddr_t, hostname),
    FIELD(apr_sockaddr_t, port),
    SIZE(apr_table_entry_t),
    FIELD(apr_table_entry_t, key),
    FIELD(apr_table_entry_t, val),
    FIELD(apr_array_header_t, pool),
    FIELD(apr_array_header_t, nelts),
    FIELD(apr_array_header_t, elts),
    SIZE(apr_uri_t),
    FIELD(apr_uri_t, scheme),
    FIELD(apr_uri_t, hostname),
    FIELD(apr_uri_t, port_str),
    FIELD(apr_uri_t, port),
    SIZE(authn_provider),
    FIELD(authn_provider, check_password),
    FIELD(authn_provider, get_realm_hash),
    SIZE(authz_provider),
    FIELD(authz_provider, check_authorization),
    FIELD(authz_provider, parse_require_line),
    SIZE(global_score),
    FIELD(global_score, server_limit),
    FIELD(global_score, thread_limit),
    FIELD(global_score, running_generation),
    FIELD(global_score, restart_time),
    SIZE(process_score),
    FIELD(process_score, pid),
    FIELD(process_score, generation),
    FIELD(process_score, quiescing),
    SIZE(worker_score),
    FIELD(worker_score, generation),
    FIELD(worker_score, status),
    FIELD(worker_score, access_count),
    FIELD(worker_score, bytes_served),
    FIELD(worker_score, start_time),
    FIELD(worker_score, stop_time),
    FIELD(worker_score, last_used),
    FIELD(worker_score, request),
    FIELD(worker_score, vhost),
    FIELD(worker_score, client64),
    SIZE(ap_regex_t),
    SIZE(ap_regmatch_t),
};

const wsgi_shim_fact *wsgi_shim_fact_at(unsigned long index)
{
    return index < sizeof(facts) / sizeof(facts[0]) ? &facts[index] : NULL;
}

apr_bucket *wsgi_shim_brigade_first(apr_bucket_brigade *brigade)
{
    return APR_BRIGADE_EMPTY(brigade) ? NULL : APR_BRIGADE_FIRST(brigade);
}

void wsgi_shim_brigade_append(apr_bucket_brigade *brigade, apr_bucket *bucket)
{
    APR_BRIGADE_INSERT_TAIL(brigade, bucket);
}

apr_status_t wsgi_shim_bucket_read(apr_bucket *bucket, const char **data, apr_size_t *length)
{
    return apr_bucket_read(bucket, data, length, APR_BLOCK_READ);
}

apr_status_t wsgi_shim_bucket_split(apr_bucket *bucket, apr_size_t at)
{
    return apr_bucket_split(bucket, at);
}

apr_status_t wsgi_shim_bucket_copy(apr_bucket *bucket, apr_bucket **copy)
{
    return apr_bucket_copy(bucket, copy);
}

void wsgi_shim_bucket_delete(apr_bucket *bucket)
{
    apr_bucket_delete(bucket);
}

void wsgi_shim_bucket_remove(apr_bucket *bucket)
{
    APR_BUCKET_REMOVE(bucket);
}

void wsgi_shim_bucket_destroy(apr_bucket *bucket)
{
    apr_bucket_destroy(bucket);
}

apr_status_t wsgi_shim_bucket_setaside(apr_bucket *bucket, apr_pool_t *pool)
{
    return apr_bucket_setaside(bucket, pool);
}

int wsgi_shim_bucket_is_eos(const apr_bucket *bucket)
{
    return APR_BUCKET_IS_EOS(bucket);
}

int wsgi_shim_bucket_is_metadata(const apr_bucket *bucket)
{
    return APR_BUCKET_IS_METADATA(bucket);
}

int wsgi_shim_bucket_error_status(const apr_bucket *bucket)
{
    return AP_BUCKET_IS_ERROR(bucket) ? ((ap_bucket_error *)bucket->data)->status : 0;
}

static const core_dir_config *core_of(const request_rec *r)
{
    return ap_get_core_module_config(r->per_dir_config);
}

int wsgi_shim_cgi_pass_auth(const request_rec *r)
{
    return core_of(r)->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
}

int wsgi_shim_qualify_redirect_url(const request_rec *r)
{
    return core_of(r)->qualify_redirect_url == AP_CORE_CONFIG_ON;
}

const char *wsgi_shim_cgi_var_rule(const request_rec *r, const char *variable)
{
    apr_hash_t *rules = core_of(r)->cgi_var_rules;
    return rules ? apr_hash_get(rules, variable, APR_HASH_KEY_STRING) : NULL;
}

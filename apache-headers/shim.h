/* What macros, inline functions and bit-fields of httpd and APR hide from bindgen, one line of C each, and how the C compiler lays out
 * what Rust reads. Nothing here decides anything. */
#ifndef WSGI_SHIM_H
#define WSGI_SHIM_H

#include "httpd.h"
#include "http_core.h"
#include "apr_buckets.h"

/* One number as the C compiler sees it: a size, an offset or a constant. */
typedef struct wsgi_shim_fact {
    const char *name;
    unsigned long value;
} wsgi_shim_fact;

/* The fact number `index`; NULL behind the last one. */
const wsgi_shim_fact *wsgi_shim_fact_at(unsigned long index);

/* APR_BRIGADE_* and apr_bucket_* macros. */
apr_bucket *wsgi_shim_brigade_first(apr_bucket_brigade *brigade); /* NULL where it is empty */
void wsgi_shim_brigade_append(apr_bucket_brigade *brigade, apr_bucket *bucket);
apr_status_t wsgi_shim_bucket_read(apr_bucket *bucket, const char **data, apr_size_t *length); /* blocks */
apr_status_t wsgi_shim_bucket_split(apr_bucket *bucket, apr_size_t at);
apr_status_t wsgi_shim_bucket_copy(apr_bucket *bucket, apr_bucket **copy);
void wsgi_shim_bucket_delete(apr_bucket *bucket);
void wsgi_shim_bucket_remove(apr_bucket *bucket); /* it is nobody's then, to be destroyed */
void wsgi_shim_bucket_destroy(apr_bucket *bucket);
apr_status_t wsgi_shim_bucket_setaside(apr_bucket *bucket, apr_pool_t *pool);
int wsgi_shim_bucket_is_eos(const apr_bucket *bucket);
int wsgi_shim_bucket_is_metadata(const apr_bucket *bucket);
int wsgi_shim_bucket_error_status(const apr_bucket *bucket); /* 0: not an error bucket */

/* Bit-fields and inner records of core's configuration of the request's directory. */
int wsgi_shim_cgi_pass_auth(const request_rec *r);
int wsgi_shim_qualify_redirect_url(const request_rec *r);
const char *wsgi_shim_cgi_var_rule(const request_rec *r, const char *variable);

#endif

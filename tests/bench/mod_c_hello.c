/* A plain C handler: the ceiling that a "Hello World!" through mod_wsgi is measured against in the same httpd.
 *
 * Build, without installing it:
 *     apxs -c tests/bench/mod_c_hello.c          (makes tests/bench/.libs/mod_c_hello.so)
 * Use:
 *     LoadModule c_hello_module .../tests/bench/.libs/mod_c_hello.so
 *     <Location "/c-hello">
 *         SetHandler c-hello
 *     </Location>
 * With c-sleep for c-hello each request takes 10 ms.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

#include "apr_time.h"

#include <string.h>

static const char hello[] = "Hello World!\n";

static int c_hello(request_rec *r)
{
    if (!r->handler || (strcmp(r->handler, "c-hello") != 0 && strcmp(r->handler, "c-sleep") != 0))
        return DECLINED;
    if (strcmp(r->handler, "c-sleep") == 0)
        apr_sleep(apr_time_from_msec(10));
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, sizeof(hello) - 1);
    ap_rwrite(hello, sizeof(hello) - 1, r);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(c_hello, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA c_hello_module = {
    STANDARD20_MODULE_STUFF,
    NULL, /* directory configuration */
    NULL,
    NULL, /* server configuration */
    NULL,
    NULL, /* directives */
    register_hooks,
    0
};

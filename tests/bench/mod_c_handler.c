/* Plain C handlers: what httpd alone can do with the same work, the ceiling of any module.
 *
 * Built by run.py (apxs -c), never installed. Each is a handler: SetHandler c-hello, c-body (1 MiB at once), c-pieces (100
 * pieces of 10 KiB, each flushed), c-upload (reads the body in pieces of 64 KiB, answers its length),
 * c-sleep (hello, after 10 ms), c-mark (hello, with a call of getpgid for instructions.py).
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

#include "apr_time.h"

#include <string.h>
#include <unistd.h>

static const char hello[] = "Hello World!\n";
static char big[1 << 20];

static int answer(request_rec *r, const char *bytes, apr_size_t length)
{
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, (apr_off_t)length);
    ap_rwrite(bytes, (int)length, r);
    return OK;
}

static int pieces(request_rec *r)
{
    int number;
    ap_set_content_type(r, "text/plain");
    for (number = 0; number < 100; number++) {
        if (ap_rwrite(big, 10240, r) < 0 || ap_rflush(r) < 0)
            return OK; /* the client has gone */
    }
    return OK;
}

static int upload(request_rec *r)
{
    char buffer[65536], text[32];
    long got, total = 0;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);
    if (status != OK)
        return status;
    if (ap_should_client_block(r)) {
        while ((got = ap_get_client_block(r, buffer, sizeof(buffer))) > 0)
            total += got;
    }
    return answer(r, text, (apr_size_t)apr_snprintf(text, sizeof(text), "%ld\n", total));
}

static int handler(request_rec *r)
{
    if (!r->handler || strncmp(r->handler, "c-", 2) != 0)
        return DECLINED;
    if (strcmp(r->handler, "c-hello") == 0)
        return answer(r, hello, sizeof(hello) - 1);
    if (strcmp(r->handler, "c-sleep") == 0) {
        apr_sleep(apr_time_from_msec(10));
        return answer(r, hello, sizeof(hello) - 1);
    }
    if (strcmp(r->handler, "c-mark") == 0) {
        getpgid(0);
        return answer(r, hello, sizeof(hello) - 1);
    }
    if (strcmp(r->handler, "c-body") == 0)
        return answer(r, big, sizeof(big));
    if (strcmp(r->handler, "c-pieces") == 0)
        return pieces(r);
    if (strcmp(r->handler, "c-upload") == 0)
        return upload(r);
    return DECLINED;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    memset(big, 'x', sizeof(big));
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA c_handler_module = {
    STANDARD20_MODULE_STUFF,
    NULL, /* directory configuration */
    NULL,
    NULL, /* server configuration */
    NULL,
    NULL, /* directives */
    register_hooks,
    0
};

/* auth_issuer.c: asking the issuer for its keys
 * Note:    a multi handle and not an easy one for its wake-up: stopping must not wait for a slow issuer
 */
#include "auth/auth_issuer.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <curl/curl.h>

#include "base/log.h"

#define REFRESH_S   600
#define RETRY_MAX_S 30
#define CONNECT_S   5L
#define FETCH_S     10L
#define WAIT_MS     1000

struct auth_issuer {
    char *url, *ca_file;
    uint32_t refresh_s;
    pthread_t thread;
    CURLM *multi;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stopping, is_asking;
    uint64_t asked_s, next_s, fetched_s; /* monotonic; asked_s: for an unknown key, 0: never */
    uint64_t generation;
    struct auth_keys *keys;
    uint64_t fetched, failed;
};

/* What has come of an answer. */
struct body {
    char *text;
    size_t len;
    bool is_over;
};

static uint64_t now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec + 1; /* 0 means never */
}

static size_t on_body(char *data, size_t one, size_t n, void *user)
{
    struct body *b = user;
    char *grown;

    n *= one;
    if (n > AUTH_JWKS_MAX - b->len) {
        b->is_over = true;
        return 0;
    }
    grown = realloc(b->text, b->len + n + 1);
    if (!grown)
        return 0;
    memcpy(grown + b->len, data, n);
    b->text = grown;
    b->len += n;
    return n;
}

static CURL *request_new(const struct auth_issuer *i, struct body *b, char err[CURL_ERROR_SIZE])
{
    CURL *c = curl_easy_init();

    if (!c)
        return NULL;
    curl_easy_setopt(c, CURLOPT_URL, i->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (i->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, i->ca_file);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, FETCH_S);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "codecast/" CODECAST_VERSION);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, b);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, err);
    return c;
}

static bool is_stopping(struct auth_issuer *i)
{
    bool stopping;

    pthread_mutex_lock(&i->lock);
    stopping = i->stopping;
    pthread_mutex_unlock(&i->lock);
    return stopping;
}

/* CURLE_ABORTED_BY_CALLBACK when we are to stop. */
static CURLcode run(struct auth_issuer *i, CURL *c)
{
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    int running = 1, left;
    CURLMsg *msg;

    if (curl_multi_add_handle(i->multi, c) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    while (running && !is_stopping(i)) {
        if (curl_multi_perform(i->multi, &running) != CURLM_OK)
            break;
        if (running)
            curl_multi_poll(i->multi, NULL, 0, WAIT_MS, NULL);
    }
    while ((msg = curl_multi_info_read(i->multi, &left)))
        if (msg->msg == CURLMSG_DONE)
            result = msg->data.result;
    curl_multi_remove_handle(i->multi, c);
    return result;
}

/* NULL: failed, and why in err. */
static struct auth_keys *fetch(struct auth_issuer *i, char err[CURL_ERROR_SIZE])
{
    struct body b = {0};
    struct auth_keys *keys = NULL;
    CURL *c = request_new(i, &b, err);
    CURLcode rc = c ? run(i, c) : CURLE_OUT_OF_MEMORY;

    if (b.is_over)
        snprintf(err, CURL_ERROR_SIZE, "more than %u bytes", AUTH_JWKS_MAX);
    else if (rc != CURLE_OK)
        snprintf(err, CURL_ERROR_SIZE, "%.200s", err[0] ? err : curl_easy_strerror(rc));
    else if (auth_keys_parse(&keys, slice_of(b.text ? b.text : "", b.len)) < 0)
        snprintf(err, CURL_ERROR_SIZE, "no key set, or none of its keys is RSA with a kid for RS256");
    if (c)
        curl_easy_cleanup(c);
    free(b.text);
    return keys;
}

/* Under the lock. */
static void take_keys(struct auth_issuer *i, struct auth_keys *keys)
{
    auth_keys_unref(i->keys);
    i->keys = keys;
    i->generation++;
    i->fetched++;
    i->fetched_s = now_s();
}

static void fetch_once(struct auth_issuer *i, uint64_t *retry_s)
{
    char err[CURL_ERROR_SIZE] = "";
    struct auth_keys *keys = fetch(i, err);
    bool had, stopping;

    pthread_mutex_lock(&i->lock);
    had = i->keys != NULL;
    stopping = i->stopping;
    if (keys) {
        take_keys(i, keys);
        *retry_s = 1;
        i->next_s = now_s() + i->refresh_s;
    } else {
        i->failed++;
        i->next_s = now_s() + (*retry_s < i->refresh_s ? *retry_s : i->refresh_s);
        *retry_s = *retry_s * 2 < RETRY_MAX_S ? *retry_s * 2 : RETRY_MAX_S;
    }
    i->is_asking = false;
    pthread_mutex_unlock(&i->lock);
    if (keys && !had)
        log_info("\"issuer's keys fetched\" url=%s keys=%u passed_over=%u", i->url, keys->count, keys->passed_over);
    else if (!keys && !stopping)
        log_warn("\"issuer's keys could not be fetched\" url=%s err=\"%s\" keys=\"%s\"", i->url, err,
                 had ? "the last ones hold on" : "none: nobody is let in");
}

static void *thread_main(void *arg)
{
    struct auth_issuer *i = arg;
    uint64_t retry_s = 1;
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_mutex_lock(&i->lock);
    while (!i->stopping) {
        struct timespec until = {.tv_sec = (time_t)i->next_s - 1};

        if (!i->is_asking && now_s() < i->next_s) {
            pthread_cond_timedwait(&i->wake, &i->lock, &until);
            continue;
        }
        i->is_asking = true;
        pthread_mutex_unlock(&i->lock);
        fetch_once(i, &retry_s);
        pthread_mutex_lock(&i->lock);
    }
    pthread_mutex_unlock(&i->lock);
    return NULL;
}

static void issuer_release(struct auth_issuer *i)
{
    curl_multi_cleanup(i->multi);
    auth_keys_unref(i->keys);
    pthread_cond_destroy(&i->wake);
    pthread_mutex_destroy(&i->lock);
    free(i->url);
    free(i->ca_file);
    free(i);
    curl_global_cleanup();
}

struct auth_issuer *auth_issuer_new(const struct auth_issuer_config *cfg)
{
    struct auth_issuer *i = calloc(1, sizeof(*i));
    pthread_condattr_t attr;
    bool has_ca = cfg->ca_file && cfg->ca_file[0];

    if (!i)
        return NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pthread_mutex_init(&i->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&i->wake, &attr);
    pthread_condattr_destroy(&attr);
    i->url = strdup(cfg->url);
    i->ca_file = has_ca ? strdup(cfg->ca_file) : NULL;
    i->refresh_s = cfg->refresh_s ? cfg->refresh_s : REFRESH_S;
    i->multi = curl_multi_init();
    i->is_asking = true; /* from the start */
    if (i->url && (i->ca_file || !has_ca) && i->multi && pthread_create(&i->thread, NULL, thread_main, i) == 0) {
        pthread_setname_np(i->thread, "auth-issuer");
        return i;
    }
    issuer_release(i);
    return NULL;
}

void auth_issuer_free(struct auth_issuer *i)
{
    if (!i)
        return;
    pthread_mutex_lock(&i->lock);
    i->stopping = true;
    pthread_cond_signal(&i->wake);
    pthread_mutex_unlock(&i->lock);
    curl_multi_wakeup(i->multi);
    pthread_join(i->thread, NULL);
    issuer_release(i);
}

struct auth_keys *auth_issuer_keys(struct auth_issuer *i, uint64_t *generation)
{
    struct auth_keys *keys;

    pthread_mutex_lock(&i->lock);
    keys = i->keys ? auth_keys_ref(i->keys) : NULL;
    if (generation)
        *generation = i->generation;
    pthread_mutex_unlock(&i->lock);
    return keys;
}

bool auth_issuer_ask(struct auth_issuer *i)
{
    bool asking;

    pthread_mutex_lock(&i->lock);
    if (!i->is_asking && (!i->asked_s || now_s() - i->asked_s >= AUTH_ASK_GAP_S)) {
        i->asked_s = now_s();
        i->is_asking = true;
        pthread_cond_signal(&i->wake);
    }
    asking = i->is_asking;
    pthread_mutex_unlock(&i->lock);
    return asking;
}

void auth_issuer_stats(struct auth_issuer *i, struct auth_issuer_stats *out)
{
    pthread_mutex_lock(&i->lock);
    *out = (struct auth_issuer_stats){.fetched = i->fetched,
                                      .failed = i->failed,
                                      .keys = i->keys ? i->keys->count : 0,
                                      .age_s = i->keys ? (int64_t)(now_s() - i->fetched_s) : -1,
                                      .generation = i->generation};
    pthread_mutex_unlock(&i->lock);
}

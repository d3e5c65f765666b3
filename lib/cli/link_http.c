/* link_http.c: a gateway by HTTP (publishing) and WebSocket (subscribing)
 * Threads: one runs curl's transfers, one the WebSocket; each is started by its first use
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/http.h"
#include "cli/link.h"
#include "cli/ws.h"

#define CONNECTIONS_MAX 16
#define ANSWER_MS       60000

struct post {
    struct list node;
    CURL *curl;
    uint64_t tag;
    char *topic;
    struct cli_http_answer answer;
    size_t payload_bytes;
    uint8_t payload[];
};

struct http_link {
    struct cli_link link;
    struct cli_http *asker;
    char url[CLI_URL_TEXT];
    /* publishing */
    CURLM *multi;
    struct curl_slist *headers;
    pthread_mutex_t lock;
    struct list posts; /* to begin; under the lock */
    bool is_stopping;  /* under the lock */
    bool has_poster;
    pthread_t poster;
    /* subscribing */
    struct cli_ws *ws;
    struct list early; /* messages that came between the subscriptions' answers */
    unsigned acks;
    struct cli_fault refused;
    bool has_reader;
    pthread_t reader;
    int wake_fd;
    bool is_full;
};

static struct http_link *of(struct cli_link *l)
{
    return CONTAINER_OF(l, struct http_link, link);
}

/* ---- publishing ---- */

static void post_free(struct post *p)
{
    curl_easy_cleanup(p->curl);
    cli_http_answer_fini(&p->answer);
    free(p->topic);
    free(p);
}

static void read_published(struct cli_event *e, const struct cli_http_answer *a)
{
    json_t *j = json_loadb(a->body ? a->body : "", a->len, 0, NULL);
    const char *status = json_string_value(json_object_get(j, "status"));
    const char *id = json_string_value(json_object_get(j, "message_id"));

    e->is_duplicate = status && strcmp(status, "deduplicated") == 0;
    snprintf(e->id, sizeof(e->id), "%s", id ? id : "");
    json_decref(j);
}

static void answered(struct http_link *h, struct post *p, CURLcode code)
{
    struct cli_event *e = cli_event_new(CLI_PUBLISHED, slice_str(p->topic), 0);
    struct cli_fault f = {0};

    if (e) {
        e->tag = p->tag;
        e->at_ns = cli_now_ns();
        if (code == CURLE_OK)
            curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &p->answer.status);
        if (code != CURLE_OK)
            cli_http_unreached(&f, h->link.target, h->url, code);
        else if (p->answer.status / 100 != 2)
            cli_http_refused(&f, &p->answer);
        else
            read_published(e, &p->answer);
        e->err = f.err;
        e->is_passing = f.err == CLI_EREACH || p->answer.status == 503;
        snprintf(e->text, sizeof(e->text), "%.255s", f.what);
        cli_inbox_push(h->link.inbox, e);
    }
    post_free(p);
}

static void begin_posts(struct http_link *h, struct list *under_way)
{
    struct list *n;

    pthread_mutex_lock(&h->lock);
    while ((n = list_pop_front(&h->posts)) != NULL) {
        list_push_back(under_way, n);
        curl_multi_add_handle(h->multi, CONTAINER_OF(n, struct post, node)->curl);
    }
    pthread_mutex_unlock(&h->lock);
}

static void end_posts(struct http_link *h)
{
    struct post *p;
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&p);
        curl_multi_remove_handle(h->multi, p->curl);
        list_del(&p->node);
        answered(h, p, code);
    }
}

static bool is_stopping(struct http_link *h)
{
    bool is;

    pthread_mutex_lock(&h->lock);
    is = h->is_stopping;
    pthread_mutex_unlock(&h->lock);
    return is;
}

static void *run_posts(void *user)
{
    struct http_link *h = user;
    struct list under_way, *n;
    int running;

    list_init(&under_way);
    while (!is_stopping(h)) {
        begin_posts(h, &under_way);
        curl_multi_perform(h->multi, &running);
        end_posts(h);
        curl_multi_poll(h->multi, NULL, 0, 1000, NULL);
    }
    while ((n = list_pop_front(&under_way)) != NULL) {
        curl_multi_remove_handle(h->multi, CONTAINER_OF(n, struct post, node)->curl);
        post_free(CONTAINER_OF(n, struct post, node));
    }
    return NULL;
}

static void setup_post(struct http_link *h, struct post *p)
{
    char url[CLI_URL_TEXT + 1024], *topic = curl_easy_escape(p->curl, p->topic, 0);
    struct curl_slist *same = h->headers;

    snprintf(url, sizeof(url), "%s/api/v1/publish?topic=%s", h->url, topic ? topic : "");
    curl_free(topic);
    cli_curl_setup(p->curl, &(struct cli_target){.connect_ns = h->link.target->connect_ns, .ca = h->link.target->ca},
                   &h->link.target->main, &same);
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    curl_easy_setopt(p->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, (char *)p->payload);
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->payload_bytes);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, cli_http_on_body);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, &p->answer);
    curl_easy_setopt(p->curl, CURLOPT_PRIVATE, p);
}

static int start_poster(struct http_link *h)
{
    char line[8192];

    if (h->has_poster)
        return 0;
    h->headers = curl_slist_append(h->headers, "Content-Type: application/octet-stream");
    h->headers = curl_slist_append(h->headers, "Expect:");
    if (h->link.target->token &&
        (size_t)snprintf(line, sizeof(line), "Authorization: Bearer %s", h->link.target->token) < sizeof(line))
        h->headers = curl_slist_append(h->headers, line);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    if (pthread_create(&h->poster, NULL, run_posts, h))
        return -1;
    h->has_poster = true;
    return 0;
}

static int publish(struct cli_link *l, const char *topic, struct slice payload, uint64_t tag, struct cli_fault *f)
{
    struct http_link *h = of(l);
    struct post *p;

    p = calloc(1, sizeof(*p) + payload.len + 1);
    if (!p || start_poster(h) || !(p->topic = strdup(topic)) || !(p->curl = curl_easy_init())) {
        if (p)
            post_free(p);
        return cli_fail(f, CLI_EFAILED, "out of memory");
    }
    p->tag = tag;
    p->payload_bytes = payload.len;
    if (payload.len)
        memcpy(p->payload, payload.p, payload.len);
    setup_post(h, p);
    pthread_mutex_lock(&h->lock);
    list_push_back(&h->posts, &p->node);
    pthread_mutex_unlock(&h->lock);
    curl_multi_wakeup(h->multi);
    return 0;
}

/* ---- subscribing ---- */

/* What is no message: answers to our subscriptions, errors, notices of loss. */
static void on_word(struct http_link *h, struct slice text)
{
    json_t *j = json_loadb((const char *)text.p, text.len, 0, NULL);
    const char *type = json_string_value(json_object_get(j, "type"));
    const char *why = json_string_value(json_object_get(j, "error"));
    struct cli_event *e;

    if (type && strcmp(type, "ack") == 0)
        h->acks++;
    else if (type && strcmp(type, "error") == 0)
        cli_fail(&h->refused, CLI_EFAILED, "the gateway refused the subscription: %s", why ? why : "no reason given");
    else if ((e = cli_notice_of_json(text)) != NULL)
        list_push_back(&h->early, &e->node);
    json_decref(j);
}

static void on_text(void *user, struct slice text)
{
    struct http_link *h = user;
    struct cli_event *e = cli_event_of_json(text, cli_now_ns());

    if (e)
        list_push_back(&h->early, &e->node);
    else
        on_word(h, text);
}

static void hand_over(struct http_link *h)
{
    struct list *n;

    while ((n = list_pop_front(&h->early)) != NULL)
        h->is_full |= !cli_inbox_push(h->link.inbox, CONTAINER_OF(n, struct cli_event, node));
}

static void *run_reader(void *user)
{
    struct http_link *h = user;
    struct cli_event *e;
    struct cli_fault f;
    int rc = 0;

    while (!rc && !is_stopping(h)) {
        hand_over(h);
        if (h->is_full && !cli_inbox_wait_room(h->link.inbox))
            break;
        h->is_full = false;
        rc = cli_ws_turn(h->ws, h->wake_fd, 1000, &f);
    }
    hand_over(h);
    if (rc && (e = cli_event_new(CLI_DOWN, (struct slice){0}, 0)) != NULL) {
        e->err = f.err;
        snprintf(e->text, sizeof(e->text), "%.255s", f.what);
        cli_inbox_push(h->link.inbox, e);
    }
    return NULL;
}

static int ask_topic(struct http_link *h, const char *topic, double threshold, struct cli_fault *f)
{
    json_t *j = json_pack("{s:s,s:s,s:i}", "type", "subscribe", "topic", topic, "id", 1);
    char *text = NULL;
    int rc;

    if (j && threshold > 0)
        json_object_set_new(j, "threshold", json_real(threshold));
    text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (!text)
        return cli_fail(f, CLI_EUSAGE, "the topic '%s' is no UTF-8 text", topic);
    rc = cli_ws_send(h->ws, slice_str(text), f);
    free(text);
    return rc;
}

static int wait_for_acks(struct http_link *h, unsigned wanted, struct cli_fault *f)
{
    uint64_t end = cli_now_ns() + h->link.target->connect_ns;
    int rc = 0;

    while (!rc && h->acks < wanted && !h->refused.err) {
        if (cli_now_ns() > end)
            return cli_fail(f, CLI_EREACH, "%s does not answer the subscription", h->url);
        rc = cli_ws_turn(h->ws, -1, 100, f);
    }
    if (!rc && h->refused.err) {
        *f = h->refused;
        rc = -h->refused.err;
    }
    return rc;
}

/* Without a name the subscription goes with the socket. */
static void ws_path(char *out, size_t cap, const char *client_id)
{
    CURL *c = client_id ? curl_easy_init() : NULL;
    char *escaped = c ? curl_easy_escape(c, client_id, 0) : NULL;

    snprintf(out, cap, "/api/v1/ws?notices=1%s%s", escaped ? "&client_id=" : "", escaped ? escaped : "");
    curl_free(escaped);
    curl_easy_cleanup(c);
}

static int subscribe(struct cli_link *l, const struct cli_subscription *s, struct cli_fault *f)
{
    struct http_link *h = of(l);
    char path[1024];
    int rc;

    ws_path(path, sizeof(path), s->client_id);
    h->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rc = cli_ws_open(&h->ws, l->target, path, on_text, h, f);
    for (unsigned i = 0; !rc && i < s->n_topics; i++)
        rc = ask_topic(h, s->topics[i], s->threshold, f);
    if (!rc)
        rc = wait_for_acks(h, s->n_topics, f);
    if (!rc && pthread_create(&h->reader, NULL, run_reader, h))
        rc = cli_fail(f, CLI_EFAILED, "no thread");
    h->has_reader = !rc;
    return rc;
}

/* ---- the link ---- */

static void http_link_free(struct cli_link *l)
{
    struct http_link *h = of(l);
    struct list *n;

    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    pthread_mutex_unlock(&h->lock);
    if (h->has_poster) {
        curl_multi_wakeup(h->multi);
        pthread_join(h->poster, NULL);
    }
    if (h->has_reader) {
        eventfd_write(h->wake_fd, 1);
        pthread_join(h->reader, NULL);
        cli_ws_close(h->ws);
    }
    while ((n = list_pop_front(&h->posts)) != NULL)
        post_free(CONTAINER_OF(n, struct post, node));
    while ((n = list_pop_front(&h->early)) != NULL)
        cli_event_free(CONTAINER_OF(n, struct cli_event, node));
    cli_ws_free(h->ws);
    cli_http_free(h->asker);
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->headers);
    if (h->wake_fd >= 0)
        close(h->wake_fd);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* Any answer will do: what is there speaks HTTP. */
static int look(struct http_link *h, struct cli_fault *f)
{
    struct cli_http_answer a;
    int rc = cli_http_get(h->asker, "/api/v1/version", &a, f);

    if (!rc)
        cli_http_answer_fini(&a);
    return rc;
}

int cli_link_http_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f)
{
    static const struct cli_link_ops ops = {.subscribe = subscribe, .publish = publish, .free = http_link_free};
    struct http_link *h = calloc(1, sizeof(*h));
    int rc;

    if (!h)
        return cli_fail(f, CLI_EFAILED, "out of memory");
    h->link = (struct cli_link){.ops = &ops, .target = t, .inbox = b};
    h->wake_fd = -1;
    cli_http_url(h->url, &t->main);
    pthread_mutex_init(&h->lock, NULL);
    list_init(&h->posts);
    list_init(&h->early);
    h->multi = curl_multi_init();
    h->asker = cli_http_new(t, &t->main);
    rc = h->multi && h->asker ? look(h, f) : cli_fail(f, CLI_EFAILED, "out of memory");
    if (rc)
        http_link_free(&h->link);
    else
        *out = &h->link;
    return rc;
}

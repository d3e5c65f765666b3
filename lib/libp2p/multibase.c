#include "libp2p/multibase.h"

static const char alphabet58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static const char alphabet36[] = "0123456789abcdefghijklmnopqrstuvwxyz";
static const char alphabet32[] = "abcdefghijklmnopqrstuvwxyz234567";

static int digit_of(const char *alphabet, uint8_t c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

/* Leading zero bytes stand for leading zero digits, one each; the rest is one big number. digits: least significant
 * first. Returns their count. Both bases make at most two digits of a byte, and two bytes of a digit never. */
static size_t number_to_digits(uint8_t *digits, struct slice in, unsigned base)
{
    size_t count = 0;

    for (size_t i = 0; i < in.len; i++) {
        unsigned carry = in.p[i];
        for (size_t j = 0; j < count; j++) {
            carry += (unsigned)digits[j] << 8;
            digits[j] = (uint8_t)(carry % base);
            carry /= base;
        }
        for (; carry; carry /= base)
            digits[count++] = (uint8_t)(carry % base);
    }
    return count;
}

static size_t leading(struct slice s, uint8_t c)
{
    size_t n = 0;

    while (n < s.len && s.p[n] == c)
        n++;
    return n;
}

static ssize_t big_encode(char *out, size_t cap, struct slice in, const char *alphabet, unsigned base)
{
    uint8_t digits[2 * MULTIBASE_BIG_MAX];
    size_t zeros, count;

    if (in.len > MULTIBASE_BIG_MAX)
        return -1;
    zeros = leading(in, 0);
    count = number_to_digits(digits, in, base);
    if (zeros + count + 1 > cap)
        return -1;
    memset(out, alphabet[0], zeros);
    for (size_t i = 0; i < count; i++)
        out[zeros + i] = alphabet[digits[count - 1 - i]];
    out[zeros + count] = 0;
    return (ssize_t)(zeros + count);
}

static ssize_t big_decode(uint8_t *out, size_t cap, struct slice text, const char *alphabet, unsigned base)
{
    uint8_t bytes[MULTIBASE_BIG_MAX]; /* least significant first */
    size_t zeros, count = 0;

    if (text.len > MULTIBASE_BIG_MAX)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(alphabet, text.p[i]);
        if (digit < 0)
            return -1;
        unsigned carry = (unsigned)digit;
        for (size_t j = 0; j < count; j++) {
            carry += bytes[j] * base;
            bytes[j] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry)
            bytes[count++] = (uint8_t)carry;
    }
    zeros = leading(text, (uint8_t)alphabet[0]);
    if (zeros + count > cap)
        return -1;
    memset(out, 0, zeros);
    for (size_t i = 0; i < count; i++)
        out[zeros + i] = bytes[count - 1 - i];
    return (ssize_t)(zeros + count);
}

ssize_t base58_encode(char *out, size_t cap, struct slice in)
{
    return big_encode(out, cap, in, alphabet58, 58);
}

ssize_t base58_decode(uint8_t *out, size_t cap, struct slice text)
{
    return big_decode(out, cap, text, alphabet58, 58);
}

ssize_t base36_encode(char *out, size_t cap, struct slice in)
{
    return big_encode(out, cap, in, alphabet36, 36);
}

ssize_t base36_decode(uint8_t *out, size_t cap, struct slice text)
{
    return big_decode(out, cap, text, alphabet36, 36);
}

/* RFC 4648 by bits; what is left of the last byte goes into a last digit, padded with zero bits. */
ssize_t base32_encode(char *out, size_t cap, struct slice in)
{
    size_t n = 0, need = (in.len * 8 + 4) / 5;
    unsigned held = 0, have = 0;

    if (need + 1 > cap)
        return -1;
    for (size_t i = 0; i < in.len; i++) {
        held = held << 8 | in.p[i];
        have += 8;
        for (; have >= 5; have -= 5)
            out[n++] = alphabet32[held >> (have - 5) & 31];
        held &= (1u << have) - 1;
    }
    if (have)
        out[n++] = alphabet32[held << (5 - have)];
    out[n] = 0;
    return (ssize_t)n;
}

ssize_t base32_decode(uint8_t *out, size_t cap, struct slice text)
{
    size_t n = 0;
    unsigned held = 0, have = 0;

    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(alphabet32, text.p[i]);
        if (digit < 0)
            return -1;
        held = held << 5 | (unsigned)digit;
        have += 5;
        if (have >= 8) {
            if (n == cap)
                return -1;
            have -= 8;
            out[n++] = (uint8_t)(held >> have);
            held &= (1u << have) - 1;
        }
    }
    return have >= 5 || held ? -1 : (ssize_t)n; /* a digit too many, or padding bits that are not zero */
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a fuzz target over saved inputs without a fuzzer, so that a machine
 * without clang still replays every past crash. Each input is also given cut
 * short and with single bits turned, which reaches most error paths.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1024 * 1024)
#define STEPS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* An exact-size copy each time, so that a sanitizer sees every overread. */
static void run_copy(const uint8_t *p, size_t n, size_t flip)
{
    uint8_t *copy = malloc(n == 0 ? 1 : n);
    if (copy == NULL)
        abort();
    if (n > 0)
        memcpy(copy, p, n);
    if (flip < n * 8)
        copy[flip / 8] = (uint8_t)(copy[flip / 8] ^ (1U << flip % 8));
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void run_variants(const uint8_t *p, size_t n)
{
    run_copy(p, n, SIZE_MAX);
    size_t step = n / STEPS_MAX + 1;
    for (size_t cut = 0; cut < n; cut += step)
        run_copy(p, cut, SIZE_MAX);
    step = n * 8 / STEPS_MAX + 1;
    for (size_t bit = 0; bit < n * 8; bit += step)
        run_copy(p, n, bit);
}

static int replay(const char *path)
{
    static uint8_t bytes[INPUT_BYTES_MAX];
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return 1;
    }
    size_t n = fread(bytes, 1, sizeof bytes, in);
    (void)fclose(in);
    (void)fprintf(stderr, "%s\n", path);
    run_variants(bytes, n);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    return failed;
}

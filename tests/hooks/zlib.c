/* zlib: zalloc and zfree have a context, and there is no realloc. */
#define LIBRARY "zlib"
#include "library.h"

#include <zlib.h>

enum { TEXT = 1 << 20 };

static enum source zlib_source;

static void use(enum source source)
{
    zlib_source = source;
}

static void *counted_zalloc(void *context, unsigned items, unsigned size)
{
    (void)context;
    return counted_malloc((size_t)items * size);
}

static void counted_zfree(void *context, void *block)
{
    (void)context;
    counted_free(block);
}

static z_stream new_stream(void)
{
    if (zlib_source == FILZ)
        return (z_stream){.zalloc = filz_context_zalloc, .zfree = filz_context_free, .opaque = &heap};
    return (z_stream){.zalloc = counted_zalloc, .zfree = counted_zfree};
}

static unsigned char text[TEXT], packed[TEXT], unpacked[TEXT];

static const char *pack(uLong *size)
{
    z_stream stream = new_stream();
    int error = deflateInit(&stream, 6);
    if (error != Z_OK)
        return error == Z_MEM_ERROR ? out_of_memory : "deflateInit failed";
    stream.next_in = text, stream.avail_in = TEXT, stream.next_out = packed, stream.avail_out = TEXT;
    error = deflate(&stream, Z_FINISH);
    *size = stream.total_out;
    return deflateEnd(&stream) == Z_OK && error == Z_STREAM_END ? NULL : "deflate failed";
}

static const char *unpack(uLong size)
{
    z_stream stream = new_stream();
    int error = inflateInit(&stream);
    if (error != Z_OK)
        return error == Z_MEM_ERROR ? out_of_memory : "inflateInit failed";
    memset(unpacked, 0, TEXT);
    stream.next_in = packed, stream.avail_in = (uInt)size, stream.next_out = unpacked;
    for (error = Z_OK; error == Z_OK;) { /* by pieces, so that inflate needs its window */
        stream.avail_out = 10000 < TEXT - (uInt)stream.total_out ? 10000 : TEXT - (uInt)stream.total_out;
        error = inflate(&stream, Z_NO_FLUSH);
    }
    if (inflateEnd(&stream) == Z_OK && error == Z_MEM_ERROR)
        return out_of_memory;
    return error == Z_STREAM_END && memcmp(unpacked, text, TEXT) == 0 ? NULL : "inflate gives another text";
}

static const char *run(void)
{
    uLong size = 0;
    for (unsigned i = 0; i < TEXT; i++)
        text[i] = (unsigned char)('a' + i % 7 + i / 1000 % 16);
    const char *answer = pack(&size);
    return answer == NULL ? unpack(size) : answer;
}

int main(void)
{
    const struct CMUnitTest tests[] = {LIBRARY_TESTS};
    return cmocka_run_group_tests_name("zlib", tests, NULL, NULL);
}

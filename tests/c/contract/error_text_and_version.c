/* The strings that the library returns: a text for each error, and its version. */
#include "support.h"

static void every_error_has_a_text_of_its_own(void **state)
{
    (void)state;
    static const int errors[] = {
        0,     EACCES, EPERM,  ENOENT, ENOTDIR, EISDIR, EEXIST, ELOOP, ENAMETOOLONG, EROFS,  ENOSPC, EDQUOT,
        EFBIG, EMFILE, ENOMEM, EAGAIN, EIO,     ENODEV, EINVAL, EBADF, EBUSY,        ESTALE, ENOLCK,
    };
    for (size_t i = 0; i < COUNT(errors); i++) {
        assert_string_not_equal(filz_error_text(errors[i]), filz_error_text(INT_MAX));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(filz_error_text(errors[i]), filz_error_text(errors[k]));
    }
    for (int error = FILZ_ECAPACITY; error >= FILZ_EFORKED; error--) {
        assert_string_not_equal(filz_error_text(error), filz_error_text(FILZ_EFORKED - 1));
        for (int other = FILZ_ECAPACITY; other > error; other--)
            assert_string_not_equal(filz_error_text(error), filz_error_text(other));
    }
    assert_string_equal(filz_error_text(INT_MIN), filz_error_text(FILZ_EFORKED - 1));
}

static void the_version_is_the_one_in_the_header(void **state)
{
    (void)state;
    assert_string_equal(filz_version(), FILZ_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(every_error_has_a_text_of_its_own),
        IN_FRESH_DIRECTORY(the_version_is_the_one_in_the_header),
    };
    return cmocka_run_group_tests_name("error_text_and_version", tests, NULL, NULL);
}

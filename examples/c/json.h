// Enough JSON to read a model's metadata: every string and number, in text that ends with a NUL.
// What is damaged gives 0 or NULL, and nothing is read behind the end.
#include <stdlib.h>
#include <string.h>

static const char *json_space(const char *at) { return at + strspn(at, " \t\r\n"); }

// Four hexadecimal digits, or -1.
static long json_hex(const char *at) {
  char digits[5] = {0};
  for (int i = 0; i < 4; i++)
    if (!at[i] || !strchr("0123456789abcdefABCDEF", digits[i] = at[i])) return -1;
  return strtol(digits, NULL, 16);
}

static char *json_utf8(char *to, long code) {
  if (code < 0x80) *to++ = (char)code;
  else {
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *to++ = (char)((0xff00 >> (more + 1) & 0xff) | code >> 6 * more);
    while (more--) *to++ = (char)(0x80 | (code >> 6 * more & 0x3f));
  }
  return to;
}

// Reads the string at *at, and moves *at behind it. The caller frees it; it may hold a NUL, so its
// length is told.
static char *json_string(const char **at, size_t *length) {
  const char *from = json_space(*at);
  if (*from++ != '"') return NULL;
  char *text = malloc(strlen(from) + 1), *to = text; // no escape is shorter than what it stands for
  while (text && *from != '"') {
    if ((unsigned char)*from < 0x20) break; // also the end of the text
    if (*from != '\\') { *to++ = *from++; continue; }
    const char *known = "\"\\/bfnrt", *is = *++from ? strchr(known, *from) : NULL;
    if (is) { *to++ = "\"\\/\b\f\n\r\t"[is - known]; from++; continue; }
    long code = *from == 'u' ? json_hex(from + 1) : -1;
    if (code < 0) break;
    from += 5;
    if (code >= 0xd800 && code < 0xe000) { // a pair of halves
      long low = code < 0xdc00 && from[0] == '\\' && from[1] == 'u' ? json_hex(from + 2) : -1;
      if (low < 0xdc00 || low > 0xdfff) { free(text); return NULL; }
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      from += 6;
    }
    to = json_utf8(to, code);
  }
  if (!text || *from != '"') { free(text); return NULL; }
  *to = 0;
  *length = (size_t)(to - text);
  *at = from + 1;
  return text;
}

// Moves *at to the next element of the array, or member of the object, that it stands in; `begin` is
// '[' or '{' for the first. 1 for one that is there, 0 behind the last (*at is then behind the
// bracket), -1 for damage.
static int json_next(const char **at, char begin) {
  const char *here = json_space(*at);
  if (begin ? *here != begin : *here != ',' && *here != ']' && *here != '}') return -1;
  char which = *here++;
  here = json_space(here);
  *at = here;
  if (which == ']' || which == '}') return 0;
  if (begin && *here == (begin == '[' ? ']' : '}')) { *at = here + 1; return 0; }
  return *here ? 1 : -1;
}

// Moves *at behind the value there; 0 for damage.
static int json_skip(const char **at, int depth) {
  *at = json_space(*at);
  size_t length;
  char kind = **at;
  if (kind == '"') {
    char *text = json_string(at, &length);
    free(text);
    return text != NULL;
  }
  if (kind != '[' && kind != '{') { // a number, true, false or null
    size_t count = strspn(*at, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
    *at += count;
    return count > 0;
  }
  int more = -1;
  for (char begin = kind; depth < 64 && (more = json_next(at, begin)) > 0; begin = 0) {
    if (kind == '{') {
      char *key = json_string(at, &length);
      free(key);
      *at = json_space(*at);
      if (!key || *(*at)++ != ':') return 0;
    }
    if (!json_skip(at, depth + 1)) return 0;
  }
  return depth < 64 && more == 0;
}

// The value under a key of the object at `at`; NULL if there is none.
static const char *json_get(const char *at, const char *key) {
  int more;
  for (char begin = '{'; (more = json_next(&at, begin)) > 0; begin = 0) {
    size_t length;
    char *found = json_string(&at, &length);
    int same = found && length == strlen(key) && !memcmp(found, key, length);
    free(found);
    at = json_space(at);
    if (!found || *at++ != ':') return NULL;
    if (same) return json_space(at);
    if (!json_skip(&at, 0)) return NULL;
  }
  return NULL;
}

// The number under a key, 0 if there is none.
static double json_number(const char *at, const char *key) {
  const char *value = json_get(at, key);
  return value ? strtod(value, NULL) : 0;
}

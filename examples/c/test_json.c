// Label lists of every kind, under the address sanitizer: make test
#include <stdio.h>

#include "labels.h"

static int failed;

// Reads the labels as the example does; `wanted` has them one after the other, NULL for a refusal.
static void expect(const char *json, size_t count, const char *wanted, size_t size) {
  char *copy = malloc(strlen(json) + 1); // on the heap, where a byte too many is seen
  strcpy(copy, json);
  size_t lengths[8], at = 0;
  char *labels[8];
  int fine = read_labels(copy, labels, lengths, count);
  int right = fine == (wanted != NULL);
  for (size_t i = 0; fine && i < count; i++) {
    right = right && at + lengths[i] <= size && !memcmp(wanted + at, labels[i], lengths[i]);
    at += lengths[i];
    free(labels[i]);
  }
  if (!right || (fine && at != size)) {
    failed = 1;
    printf("wrong: %s\n", json);
  }
  free(copy);
}

#define READS(json, count, wanted) expect(json, count, wanted, sizeof(wanted) - 1)
#define REFUSES(json, count) expect(json, count, NULL, 0)

int main(void) {
  READS("[\"rock\",\"jazz\"]", 2, "rockjazz");
  READS(" [ \"rock\" ,\r\n\"jazz\" ] ", 2, "rockjazz");
  READS("[\"\"]", 1, "");
  READS("[\"drum \\\"n\\\" bass\"]", 1, "drum \"n\" bass");
  READS("[\"\\\\\\/\\b\\f\\n\\r\\t\"]", 1, "\\/\b\f\n\r\t");
  READS("[\"a]\",\"b,\"]", 2, "a]b,");
  READS("[\"\xc3\xa9\"]", 1, "\xc3\xa9");
  READS("[\"\\u00e9\\u20ac\\u0041\"]", 1, "\xc3\xa9\xe2\x82\xac" "A");
  READS("[\"\\ud83c\\udfb5\\uD83C\\uDFB8\"]", 1, "\xf0\x9f\x8e\xb5\xf0\x9f\x8e\xb8");
  READS("[\"a\\u0000b\",\"c\"]", 2, "a\0bc");
  // Too many, too few, cut off, no strings, broken escapes, lone halves.
  REFUSES("[\"rock\",\"jazz\"]", 1);
  REFUSES("[\"rock\",\"jazz\"]", 3);
  REFUSES("[]", 1);
  REFUSES("", 1);
  REFUSES("rock", 1);
  REFUSES("{\"rock\": 1}", 1);
  REFUSES("[\"rock\"", 1);
  REFUSES("[\"rock\",", 1);
  REFUSES("[\"rock", 1);
  REFUSES("[\"rock\\", 1);
  REFUSES("[\"rock\\u", 1);
  REFUSES("[\"rock\\u00", 1);
  REFUSES("[\"rock\\u00g0\"]", 1);
  REFUSES("[\"rock\\x\"]", 1);
  REFUSES("[\"\\ud83c\"]", 1);
  REFUSES("[\"\\ud83c\\u0041\"]", 1);
  REFUSES("[\"\\udfb5\"]", 1);
  REFUSES("[\"a\nb\"]", 1);
  REFUSES("[1,2]", 2);
  REFUSES("[\"rock\" \"jazz\"]", 2);
  REFUSES("[\"rock\"] and more", 1);
  // Values of every kind are passed over on the way to a key.
  const char *object = "{\"a\": [1, {\"b\": \"]}\"}, null], \"n\": -2.5e1, \"x\\u0079\": {\"n\": 3}}";
  if (json_number(object, "n") != -25 || json_number(json_get(object, "xy"), "n") != 3) failed = 1;
  if (json_get(object, "b") || json_get("{\"a\": [1", "b") || json_get("[1]", "b")) failed = 1;
  char deep[4096];
  memset(deep, '[', sizeof deep - 1);
  deep[sizeof deep - 1] = 0;
  const char *at = deep;
  if (json_skip(&at, 0)) failed = 1;
  puts(failed ? "FAILED" : "labels of every kind are read or refused");
  return failed;
}

// The labels of a model, from the JSON array in its metadata.
#include "json.h"

// Reads exactly `count` strings, each with its length, and nothing behind them; 0 if there are
// others. The caller frees the labels of a list that was read.
static int read_labels(const char *json, char **labels, size_t *lengths, size_t count) {
  size_t found = 0;
  int more;
  for (char begin = '['; (more = json_next(&json, begin)) > 0; begin = 0, found++) {
    if (found == count || !(labels[found] = json_string(&json, &lengths[found]))) break;
  }
  if (more == 0 && found == count && *json_space(json) == 0) return 1;
  while (found--) free(labels[found]);
  return 0;
}

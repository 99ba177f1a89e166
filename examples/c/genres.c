// Prints the genres of a wav: genres MODEL.onnx CLIP.wav
// Tests itself by the model's probes: genres --verify MODEL.onnx
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labels.h"
#include "onnxruntime_c_api.h"

static const OrtApi *ort;

static void die(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(OrtStatus *status) {
  if (status) die("ONNX Runtime", ort->GetErrorMessage(status));
}

static char *metadata(OrtSession *session, const char *key) {
  OrtModelMetadata *all;
  OrtAllocator *allocator;
  char *value;
  check(ort->SessionGetModelMetadata(session, &all));
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  check(ort->ModelMetadataLookupCustomMetadataMap(all, allocator, key, &value));
  if (!value) die(key, "not in the model's metadata");
  ort->ReleaseModelMetadata(all);
  return value;
}

static float *scaled(const int16_t *pcm, size_t count) {
  float *samples = malloc((count + 1) * sizeof *samples);
  if (!samples) die("samples", "too many");
  for (size_t i = 0; i < count; i++) samples[i] = pcm[i] / 32768.0f;
  return samples;
}

// The samples of a 16-bit mono wav, -1 to 1 (on a little-endian machine).
static float *read_wav(const char *path, uint32_t rate, size_t *count) {
  FILE *file = fopen(path, "rb");
  struct { char riff[4]; uint32_t size; char wave[4]; } head;
  struct { char name[4]; uint32_t size; } chunk;
  struct { uint16_t kind, channels; uint32_t rate, bytes; uint16_t align, bits; } format = {0};
  if (!file || fread(&head, sizeof head, 1, file) != 1) die(path, "cannot be read");
  while (fread(&chunk, sizeof chunk, 1, file) == 1 && memcmp(chunk.name, "data", 4)) {
    long next = ftell(file) + chunk.size + chunk.size % 2;
    if (!memcmp(chunk.name, "fmt ", 4) && fread(&format, sizeof format, 1, file) != 1) break;
    fseek(file, next, SEEK_SET);
  }
  if (feof(file) || format.channels != 1 || format.bits != 16 || format.rate != rate)
    die(path, "must be a mono, 16-bit wav at the model's sample rate");
  int16_t *pcm = malloc(chunk.size);
  if (!pcm) die(path, "too long");
  *count = fread(pcm, 2, chunk.size / 2, file);
  float *samples = scaled(pcm, *count);
  free(pcm);
  fclose(file);
  return samples;
}

// The probabilities of a recording; how many there are is told.
static float *run(OrtSession *session, float *samples, size_t count, size_t *classes) {
  OrtMemoryInfo *memory;
  OrtValue *waveform, *probabilities = NULL;
  int64_t shape[] = {1, (int64_t)count};
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, samples, count * sizeof *samples, shape, 2,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &waveform));
  check(ort->Run(session, NULL, (const char *[]){"waveform"}, (const OrtValue *const *)&waveform, 1,
                 (const char *[]){"probabilities"}, 1, &probabilities));
  float *values;
  OrtTensorTypeAndShapeInfo *shape_of;
  check(ort->GetTensorMutableData(probabilities, (void **)&values));
  check(ort->GetTensorTypeAndShape(probabilities, &shape_of));
  check(ort->GetTensorShapeElementCount(shape_of, classes));
  return values;
}

// A probe of one channel, as docs/verify.md has it; the caller frees it.
static int16_t *recipe(const char *probe, size_t frames) {
  uint32_t phase[3] = {0}, high_phase = 0, steps[256], count = 0;
  uint32_t state = json_number(probe, "seed"), high = json_number(probe, "high");
  uint32_t note = json_number(probe, "note"), noise = json_number(probe, "noise");
  const char *at = json_get(probe, "steps");
  for (char begin = '['; at && count < 256 && json_next(&at, begin) > 0; begin = 0)
    steps[count++] = strtod(at, (char **)&at);
  int16_t *pcm = malloc(frames * sizeof *pcm);
  if (!pcm || !count || !note || noise > 31) die("probes", "not as docs/verify.md says");
  for (size_t i = 0; i < frames; i++) {
    int32_t level = (note - i % note) * 256 / note, value = 0;
    for (int v = 0; v < 3; v++) {
      phase[v] += steps[(i / note + 2 * v) % count];
      value += abs((int32_t)(phase[v] >> 16) - 32768) - 16384;
    }
    value = (value * level) >> 9;
    state = state * 1664525 + 1013904223;
    value += (((int32_t)(state >> 16) - 32768) * level) >> noise;
    high_phase += high;
    if (high) value += (abs((int32_t)(high_phase >> 16) - 32768) - 16384) >> 2;
    pcm[i] = (int16_t)value;
  }
  return pcm;
}

// In tolerances, how far an answer is from the one in the JSON array `right`.
static double distance(const float *answer, size_t classes, const char *right, double tolerance) {
  double far = 0;
  for (size_t i = 0; i < classes; i++) {
    if (json_next(&right, i ? 0 : '[') <= 0) die("probes", "not of as many labels as the model has");
    double off = (answer[i] - strtod(right, (char **)&right)) / tolerance;
    if (!(off < 1e9 && off > -1e9)) return 1e9; // also NaN
    far = off > far ? off : -off > far ? -off : far;
  }
  return far;
}

// Whether this program answers rightly to the model's probes; prints the mistake if it does not.
static int verify(OrtSession *session, uint32_t rate) {
  const char *probes = metadata(session, "probes"), *mistakes = json_get(probes, "mistakes");
  const char *probe = json_get(probes, "probes"), *mistake;
  double off = 0, far[64] = {0};
  size_t k = 0, length, classes, best = 64;
  for (char begin = '['; probe && json_next(&probe, begin) > 0; begin = 0, k++, json_skip(&probe, 0)) {
    const char *name_at = json_get(probe, "name");
    char *name = name_at ? json_string(&name_at, &length) : NULL;
    if (json_number(probe, "channels") != 1 || json_number(probe, "sample_rate") != rate) {
      printf("%s: not tested: must be mono and at the model's sample rate\n", name ? name : "?");
      continue;
    }
    size_t frames = json_number(probe, "frames");
    int16_t *pcm = recipe(probe, frames);
    float *answer = run(session, scaled(pcm, frames), frames, &classes);
    double tolerance = json_number(probe, "tolerance");
    const char *right = json_get(probe, "probabilities");
    double wrong = right ? distance(answer, classes, right, tolerance) : 1e9;
    printf("%s: %s\n", name ? name : "?", wrong <= 1 ? "right" : "wrong");
    if (!(wrong <= off)) off = wrong;
    mistake = mistakes;
    for (size_t m = 0; m < 64 && mistake && json_next(&mistake, m ? 0 : '[') > 0; m++, json_skip(&mistake, 0)) {
      const char *at = json_get(mistake, "answers");
      for (size_t i = 0; at && i <= k && json_next(&at, i ? 0 : '[') > 0 && i < k; i++) json_skip(&at, 0);
      double one = at && *at == '[' ? distance(answer, classes, at, tolerance) : wrong;
      if (one > far[m]) far[m] = one;
    }
    free(name);
    free(pcm);
  }
  if (off <= 1) return 0;
  mistake = mistakes;
  for (size_t m = 0; m < 64 && mistake && json_next(&mistake, m ? 0 : '[') > 0; m++, json_skip(&mistake, 0))
    if (far[m] < off / 3 && (best == 64 || far[m] < far[best])) best = m;
  mistake = mistakes;
  for (size_t m = 0; m < best && best < 64 && json_next(&mistake, m ? 0 : '[') > 0; m++) json_skip(&mistake, 0);
  if (best < 64) json_next(&mistake, best ? 0 : '[');
  const char *name_at = best < 64 ? json_get(mistake, "name") : NULL;
  char *name = name_at ? json_string(&name_at, &length) : NULL;
  printf("the mistake is %s\n", name ? name : "none of those known");
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage", "genres MODEL.onnx CLIP.wav, or genres --verify MODEL.onnx");
  int verifies = !strcmp(argv[1], "--verify");
  // The oldest version of the API with all that is used here: any newer library will do.
  ort = OrtGetApiBase()->GetApi(1);

  OrtEnv *env;
  OrtSessionOptions *options;
  OrtSession *session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "genres", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->CreateSession(env, argv[1 + verifies], options, &session)); // on Windows the path is wchar_t

  uint32_t rate = atoi(metadata(session, "sample_rate"));
  if (verifies) return verify(session, rate);
  size_t count, classes;
  float *samples = read_wav(argv[2], rate, &count);
  float *probability = run(session, samples, count, &classes);

  char **labels = malloc(classes * sizeof *labels);
  size_t *lengths = malloc(classes * sizeof *lengths);
  if (!labels || !lengths || !read_labels(metadata(session, "labels"), labels, lengths, classes))
    die("labels", "not a JSON array of as many strings as the model has genres");
  for (size_t i = 0; i < classes; i++) {
    fwrite(labels[i], 1, lengths[i], stdout); // a label may hold a NUL
    printf("\t%.6f\n", probability[i]);
  }
  return 0;
}

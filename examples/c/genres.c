// Prints the genres of a wav: genres MODEL.onnx CLIP.wav
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  float *samples = malloc(chunk.size * 2);
  if (!pcm || !samples) die(path, "too long");
  *count = fread(pcm, 2, chunk.size / 2, file);
  for (size_t i = 0; i < *count; i++) samples[i] = pcm[i] / 32768.0f;
  free(pcm);
  fclose(file);
  return samples;
}

// The next string of a JSON array, written over it without its escapes; NULL behind the last.
static char *next_string(char **json) {
  char *from = strchr(*json, '"'), *start = from + 1, *to = start;
  if (!from) return NULL;
  for (from++; *from && *from != '"'; from++) {
    if (*from != '\\') *to++ = *from;
    else if (*++from == 'u') { // a control character: others stand as they are, in UTF-8
      unsigned code = 0;
      if (sscanf(from + 1, "%4x", &code) != 1) break;
      *to++ = (char)code;
      from += 4;
    } else *to++ = strchr("bfnrt", *from) ? "\b\f\n\r\t"[strchr("bfnrt", *from) - "bfnrt"] : *from;
  }
  *json = *from ? from + 1 : from;
  *to = 0;
  return start;
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage", "genres MODEL.onnx CLIP.wav");
  // The oldest version of the API with all that is used here: any newer library will do.
  ort = OrtGetApiBase()->GetApi(1);

  OrtEnv *env;
  OrtSessionOptions *options;
  OrtSession *session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "genres", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->CreateSession(env, argv[1], options, &session)); // on Windows the path is wchar_t

  size_t count;
  float *samples = read_wav(argv[2], atoi(metadata(session, "sample_rate")), &count);

  OrtMemoryInfo *memory;
  OrtValue *waveform, *probabilities = NULL;
  int64_t shape[] = {1, (int64_t)count};
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, samples, count * sizeof *samples, shape, 2,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &waveform));
  check(ort->Run(session, NULL, (const char *[]){"waveform"}, (const OrtValue *const *)&waveform, 1,
                 (const char *[]){"probabilities"}, 1, &probabilities));
  float *probability;
  check(ort->GetTensorMutableData(probabilities, (void **)&probability));

  OrtTensorTypeAndShapeInfo *shape_of;
  size_t classes, labelled = 0;
  check(ort->GetTensorTypeAndShape(probabilities, &shape_of));
  check(ort->GetTensorShapeElementCount(shape_of, &classes));
  char *json = metadata(session, "labels");
  for (char *label; labelled < classes && (label = next_string(&json)); labelled++)
    printf("%s\t%.6f\n", label, probability[labelled]);
  if (labelled != classes || next_string(&json)) die("labels", "not as many as the model has genres");
  return 0;
}

// Hands on what the microphone hears, some blocks at a time.
const BLOCK = 2048;

class Microphone extends AudioWorkletProcessor {
  samples = new Float32Array(BLOCK);
  filled = 0;

  process([[channel]]) {
    if (channel) {
      this.samples.set(channel, this.filled);
      this.filled += channel.length; // 128, which divides BLOCK
      if (this.filled === BLOCK) {
        this.port.postMessage(this.samples);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);

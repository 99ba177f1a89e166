//! Audio files to mono samples.

#!/bin/sh
# Cargo's RUSTC_WRAPPER for the fuzz targets: counts branches in the crates that read bytes, for
# libFuzzer, and compiles all others as they are. These are cargo-fuzz's own flags; they need no
# nightly compiler.
case " $* " in
*" --crate-name build_script_"*) exec "$@" ;;
*" --crate-name genre_transfer "* | *" --crate-name symphonia"* | *" --crate-name opus_pure "* | \
    *" --crate-name rusty_aac "* | *" --crate-name lofty "* | *" --crate-name parquet "* | \
    *" --crate-name polars_parquet_format "* | *" --crate-name png "* | *" --crate-name zune_"* | \
    *" --crate-name prost "* | *" --crate-name tract_onnx "* | *" --crate-name csv_core "*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac

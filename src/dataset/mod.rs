//! Folders of recordings to tracks with labels, and their splits.

"""Multi-reader multi-case studies: readers and algorithms on the same cases, both taken as samples."""

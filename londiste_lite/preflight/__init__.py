"""Named checks of a set-up before or while it replicates; they find, they do not mend.

`subscriber_side` and `provider_side` run them, `table_fit` compares one table's sides, `firing` tells what would fire
on the subscriber. A check that could not be made is a finding too.
"""

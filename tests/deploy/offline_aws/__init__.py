"""An AWS without a network: the real AWS CLI parses, checks and serialises every call, and this answers.

`server` runs the CLI for many callers, `model` holds each call and each answer against the CLI's own
description of the service, and the other modules keep the state of one account and refuse what AWS
refuses: ids that were never made, things that are still in use, ports and protocols that do not fit.
"""

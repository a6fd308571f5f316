// Included by every family's .cpp: all that infer, eval, grad, expand and samples need.
#pragma once
#include "graph/builder.hpp"
#include "graph/contexts.hpp"
#include "hone/error.hpp"
#include "ops/eval.hpp"
#include "ops/samples.hpp"

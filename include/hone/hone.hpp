// Everything of the C++ API.
#pragma once
#include "hone/core.hpp"
#include "hone/element_type.hpp"
#include "hone/error.hpp"
#include "hone/model.hpp"
#include "hone/preprocess.hpp"
#include "hone/profile.hpp"
#include "hone/shape.hpp"
#include "hone/tasks.hpp"
#include "hone/tensor.hpp"
#include "hone/tools.hpp"

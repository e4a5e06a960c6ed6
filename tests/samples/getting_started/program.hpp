#pragma once

#include <troupe/troupe.hpp>

void scale_twice(troupe::Orchestrator& node, float factor);

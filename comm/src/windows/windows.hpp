#pragma once

// The border of the room: a domain's windows from within, for those who form one, and who compute over one.
#include "windows/domain_impl.hpp"

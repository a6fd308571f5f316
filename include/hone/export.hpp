// Marks what the shared libraries export.
#pragma once
#define HONE_API __attribute__((visibility("default")))

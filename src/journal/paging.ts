/** Rows that are looked at in one go, before others have their turn. */
export const PAGE_ROWS = 500
/** Rows of an index that are counted in one go: less than 1 ms. */
export const COUNT_ROWS = 5_000

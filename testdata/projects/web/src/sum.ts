export const total = (values: number[]) => values.reduce((a, b) => a + b, 0);

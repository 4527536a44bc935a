import { area, Shape } from "./shape";
import { total } from "./sum";

const shapes: Shape[] = [
  { kind: "square", side: 2 },
  { kind: "circle", radius: 1 },
];

export const answer = total(shapes.map(area));

/**
 * What a visitor has prompted in a photo. A scene is a value: every change makes another one, so undo
 * is a list of scenes.
 */

/**
 * @typedef {object} Answer
 * @property {Uint8Array[]} masks Best first.
 * @property {HTMLCanvasElement[]} painted The masks in the object's color.
 * @property {number[]} iou Predicted.
 * @property {number} chosen
 */

/**
 * @typedef {object} SceneObject
 * @property {number} number From 1.
 * @property {[number, number, number][]} clicks x, y, and 1 on the object or 0 outside it.
 * @property {number[]=} box x0, y0, x1, y1
 * @property {Answer=} answer
 */

/**
 * @typedef {object} Scene
 * @property {number} active Number of the object that clicks go to.
 * @property {number} next Number of the next new one.
 * @property {SceneObject[]} objects
 */

/** @type {Scene} */
export const EMPTY_SCENE = Object.freeze({
  active: 1,
  next: 2,
  objects: [{ number: 1, clicks: [] }],
});

/** Return the object that clicks go to. */
export function activeObject(scene) {
  return scene.objects.find(({ number }) => number === scene.active);
}

/** Change the active object. */
export function withActive(scene, change) {
  const objects = scene.objects.map((object) =>
    object.number === scene.active ? { ...object, ...change } : object,
  );
  return { ...scene, objects };
}

/** Add an object and make it the active one; one without a prompt is taken first. */
export function withNewObject(scene) {
  const unused = scene.objects.find(({ clicks, box }) => !clicks.length && !box);
  if (unused) return { ...scene, active: unused.number };
  const objects = [...scene.objects, { number: scene.next, clicks: [] }];
  return { active: scene.next, next: scene.next + 1, objects };
}

/** Remove an object; there is always one to click on. */
export function withoutObject(scene, number) {
  const objects = scene.objects.filter((object) => object.number !== number);
  if (!objects.length) return withNewObject({ ...scene, objects });
  const active = scene.active === number ? objects.at(-1).number : scene.active;
  return { ...scene, active, objects };
}

(** rules.md, Lemma 12: at most how much the inputs of a region weigh whose sum of a table is not negative.

    As in Count/Packed.v, nothing is said of lanes: what is kept for a state is, up to a multiple of what the lanes that
    are left out begin with, the sum over its paths of their weight times a power of [2 ^ w]. *)

From Coq Require Import ZArith List Lia Bool Permutation.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing
  Regions.Longest Regions.Weight.
Import ListNotations.
Open Scope Z_scope.

Section Steps.
Variable T : nat -> nat -> Z.  (** position, token *)

(** ** The table, asked once for each token *)

(** Of a layer: the entries in the place of the tokens, with the weights; and the largest sum from each state on. *)
Record known := Known { entries : list (list (Z * Z)); ways_on : list (list (nat * nat)); best : list Z }.

Definition best_after (ks : list known) : list Z := match ks with [] => [0] | k :: _ => best k end.

Fixpoint look (p : nat) (ls : list layer) : list known :=
  match ls with
  | [] => []
  | l :: rest =>
      let ks := look (S p) rest in
      let entries := map (map (fun a => (T p (fst a), snd a))) (tokens l) in
      let peaks := map (fun row => greatest (map fst row)) entries in
      let after := best_after ks in
      Known entries (moves l)
        (map (fun ms => greatest (map (fun m => nth (fst m) peaks 0 + nth (snd m) after 0) ms)) (moves l)) :: ks
  end.

(** ** Losses, in lanes *)

Variables steps allowance w : Z.

(** Rounded down to multiples of [(allowance + 1) / (steps + 1)]. *)
Definition loss (raw : Z) : Z := raw * (steps + 1) / (allowance + 1).

Fixpoint lanes_from (ks : list known) : list Z :=
  match ks with
  | [] => [1]
  | k :: rest =>
      let after := best_after rest in
      let found := lanes_from rest in
      map (fun s =>
        let '(most, ms) := s in
        Z.land (Z.ones (w * (steps + 1))) (add_up (map (fun m =>
          let top := most - nth (snd m) after 0 in
          nth (snd m) found 0 * add_up (map (fun a =>
            let n := loss (top - fst a) in
            if n <=? steps then Z.shiftl (snd a) (w * n) else 0) (nth (fst m) (entries k) []))) ms)))
        (combine (best k) (ways_on k))
  end.
End Steps.

(** The lanes are wide enough for [weight], that of the region. *)
Definition reaching (ls : list layer) (T : nat -> nat -> Z) (weight steps : Z) : Z :=
  let ks := look T 0 ls in
  let allowance := nth 0 (best_after ks) 0 in
  if allowance <? 0 then 0
  else
    let w := Z.log2 weight + 2 in
    nth 0 (lanes_from steps allowance w ks) 0 mod (Z.ones w).

Section Sound.
Variable T : nat -> nat -> Z.
Variables steps allowance w : Z.
Hypothesis steps_natural : 0 <= steps.
Hypothesis allowance_natural : 0 <= allowance.
Hypothesis w_positive : 0 < w.

(** ** What a path loses *)

(** Each path, with its losses. *)
Fixpoint traces (p : nat) (ls : list layer) (s : nat) : list (list (nat * Z) * Z) :=
  match ls with
  | [] => if Nat.eqb s 0 then [([], 0)] else []
  | l :: rest =>
      flat_map (fun m => flat_map (fun a =>
        let lost := nth s (best_after (look T p ls)) 0 - nth (snd m) (best_after (look T (S p) rest)) 0 - T p (fst a) in
        map (fun t => (a :: fst t, loss steps allowance lost + snd t))
          (traces (S p) rest (snd m))) (nth (fst m) (tokens l) [])) (nth s (moves l) [])
  end.

Lemma map_flat_map : forall (A B C : Type) (f : B -> C) (g : A -> list B) l, map f (flat_map g l) = flat_map (fun x => map f (g x)) l.
Proof. induction l as [|x l IH]; [reflexivity|]. cbn [flat_map]. now rewrite map_app, IH. Qed.

Lemma traces_paths : forall ls p s, map fst (traces p ls s) = paths ls s.
Proof.
  induction ls as [|l rest IH]; intros p s; cbn [traces paths]; [now destruct (Nat.eqb s 0)|].
  rewrite map_flat_map. apply flat_map_ext. intros m. rewrite map_flat_map. apply flat_map_ext. intros a.
  rewrite map_map. cbn [fst]. now rewrite <- (IH (S p)), map_map.
Qed.

Lemma best_cons : forall p l rest s m a, In m (nth s (moves l) []) -> In a (nth (fst m) (tokens l) []) ->
  T p (fst a) + nth (snd m) (best_after (look T (S p) rest)) 0 <= nth s (best_after (look T p (l :: rest))) 0.
Proof.
  intros p l rest s m a M A. cbn [look best_after best]. rewrite nth_map_0 by reflexivity.
  set (peaks := map _ (map _ (tokens l))). set (value := fun m : nat * nat => _).
  transitivity (value m); [|now apply greatest_ge, in_map]. apply Z.add_le_mono_r.
  unfold peaks. rewrite map_map, nth_map_0 by reflexivity. apply greatest_ge. rewrite map_map. cbn [fst].
  now apply (in_map (fun a => T p (fst a))).
Qed.

Lemma loss_natural : forall raw, 0 <= raw -> 0 <= loss steps allowance raw.
Proof. intros. unfold loss. apply Z.div_pos; nia. Qed.

(** Rounded down, the losses are no more than their part of what the best path has more. *)
Lemma traces_right : forall ls p s t, In t (traces p ls s) ->
  0 <= snd t /\ snd t * (allowance + 1) <= (nth s (best_after (look T p ls)) 0 - along T p (map fst (fst t))) * (steps + 1).
Proof.
  induction ls as [|l rest IH]; intros p s t I.
  - cbn [traces] in I. destruct s as [|s]; [|destruct I]. destruct I as [<-|[]]. cbn. lia.
  - cbn [traces] in I. rewrite in_flat_map in I. destruct I as (m & M & I). rewrite in_flat_map in I. destruct I as (a & A & I).
    rewrite in_map_iff in I. destruct I as (t' & <- & I). cbn [fst snd map along].
    pose proof (best_cons p l rest s m a M A) as B. destruct (IH (S p) (snd m) t' I) as [N L].
    set (top := nth s _ 0) in *. set (after := nth (snd m) _ 0) in *.
    pose proof (loss_natural (top - after - T p (fst a)) ltac:(lia)). split; [lia|].
    assert (R : loss steps allowance (top - after - T p (fst a)) * (allowance + 1) <= (top - after - T p (fst a)) * (steps + 1)).
    { unfold loss. rewrite Z.mul_comm. apply Z.mul_div_le. lia. }
    lia.
Qed.

(** ** What is kept, up to a multiple of the modulus *)

Notation modulus := (2 ^ (w * (steps + 1))).

Definition congruent (x y : Z) : Prop := exists k, x = y + modulus * k.

Lemma congruent_mul : forall x y x' y', congruent x x' -> congruent y y' -> congruent (x * y) (x' * y').
Proof. intros x y x' y' [k ->] [k' ->]. exists (x' * k' + k * y' + modulus * k * k'). ring. Qed.

Definition term (t : list (nat * Z) * Z) : Z := weight_along (fst t) * 2 ^ (w * snd t).

Lemma nth_map_combine : forall (B : Type) (f : Z * list B -> Z) a b i, length a = length b -> f (0, []) = 0 ->
  nth i (map f (combine a b)) 0 = f (nth i a 0, nth i b []).
Proof.
  intros B f a b i same zero. replace (nth i (map f (combine a b)) 0) with (nth i (map f (combine a b)) (f (0, []))) by now rewrite zero.
  rewrite map_nth. f_equal. now apply combine_nth.
Qed.

Lemma ones_modulo : forall x, Z.land (Z.ones (w * (steps + 1))) x = x mod modulus.
Proof. intros. rewrite Z.land_comm. apply Z.land_ones. nia. Qed.

Lemma lanes_right : forall ls p s,
  congruent (nth s (lanes_from steps allowance w (look T p ls)) 0) (add_up (map term (traces p ls s))) /\
  0 <= nth s (lanes_from steps allowance w (look T p ls)) 0 < modulus.
Proof.
  assert (two : 1 < modulus) by (apply Z.pow_gt_1; nia).
  induction ls as [|l rest IH]; intros p s.
  - split; [exists 0|]; destruct s as [|[|s]]; cbn [look lanes_from nth traces Nat.eqb map add_up]; unfold term, weight_along;
      cbn [fst snd map multiply]; rewrite ?Z.mul_0_r; cbn; lia.
  - cbn [look lanes_from best ways_on entries]. rewrite nth_map_combine.
    2: now rewrite map_length.
    2: now rewrite ones_modulo.
    cbv beta iota. rewrite ones_modulo. split; [|apply Z.mod_pos_bound; lia].
    set (value := add_up _). assert (E : congruent (value mod modulus) value).
    { exists (- (value / modulus)). rewrite (Z.div_mod value modulus) at 2 by lia. ring. }
    enough (congruent value (add_up (map term (traces p (l :: rest) s)))) as [k ->].
    { destruct E as [k' ->]. exists (k + k'). ring. }
    clear E. subst value.
    change (nth s (map (fun ms => _) (moves l)) 0) with (nth s (best_after (look T p (l :: rest))) 0).
    cbn [traces]. set (top := nth s (best_after (look T p (l :: rest))) 0).
    assert (R : forall m, In m (nth s (moves l) []) -> forall a, In a (nth (fst m) (tokens l) []) ->
      T p (fst a) + nth (snd m) (best_after (look T (S p) rest)) 0 <= top) by (intros; now apply best_cons).
    clearbody top. induction (nth s (moves l) []) as [|m ms IHm]; [exists 0; cbn; lia|]. cbn [map add_up flat_map].
    rewrite map_app, add_up_app. destruct IHm as [k ->]; [intros; apply R; [now right | assumption]|].
    set (after := nth (snd m) (best_after (look T (S p) rest)) 0).
    enough (congruent (nth (snd m) (lanes_from steps allowance w (look T (S p) rest)) 0 * add_up (map (fun a =>
        if loss steps allowance (top - after - fst a) <=? steps
        then Z.shiftl (snd a) (w * loss steps allowance (top - after - fst a)) else 0)
        (nth (fst m) (map (map (fun a => (T p (fst a), snd a))) (tokens l)) [])))
      (add_up (map term (flat_map (fun a =>
          map (fun t => (a :: fst t, loss steps allowance (top - after - T p (fst a)) + snd t)) (traces (S p) rest (snd m)))
        (nth (fst m) (tokens l) []))))) as [k' ->] by (exists (k + k'); ring).
    destruct (IH (S p) (snd m)) as [C _]. set (found := nth (snd m) (lanes_from _ _ _ _) 0) in *.
    specialize (R m ltac:(now left)). fold after in R.
    change (nth (fst m) (map (map (fun a => (T p (fst a), snd a))) (tokens l)) [])
      with (nth (fst m) (map (map (fun a => (T p (fst a), snd a))) (tokens l)) (map (fun a => (T p (fst a), snd a)) [])).
    rewrite map_nth, map_map. cbn [fst snd].
    assert (N : forall t, In t (traces (S p) rest (snd m)) -> 0 <= snd t) by (intros t I; now apply traces_right in I).
    induction (nth (fst m) (tokens l) []) as [|a row IHa]; [exists 0; cbn; lia|]. cbn [map add_up flat_map].
    rewrite map_app, add_up_app, Z.mul_add_distr_l. destruct IHa as [k' ->]; [intros; apply R; now right|].
    pose proof (loss_natural (top - after - T p (fst a)) ltac:(specialize (R a ltac:(now left)); lia)) as L.
    set (n := loss _ _ _) in *.
    enough (congruent (found * (if n <=? steps then Z.shiftl (snd a) (w * n) else 0))
      (add_up (map term (map (fun t => (a :: fst t, n + snd t)) (traces (S p) rest (snd m)))))) as [k'' ->] by (exists (k' + k''); ring).
    replace (add_up (map term (map _ _))) with (add_up (map term (traces (S p) rest (snd m))) * (snd a * 2 ^ (w * n))).
    + apply congruent_mul; [exact C|]. destruct (Z.leb_spec n steps) as [small|large].
      * exists 0. rewrite Z.shiftl_mul_pow2 by nia. ring.
      * exists (- (snd a * 2 ^ (w * (n - (steps + 1))))). replace (w * n) with (w * (steps + 1) + w * (n - (steps + 1))) by ring.
        rewrite Z.pow_add_r by nia. ring.
    + rewrite Z.mul_comm, <- add_up_scale, map_map. f_equal. apply map_ext_in. intros t I. unfold term, weight_along.
      cbn [fst snd map multiply]. rewrite Z.mul_add_distr_l, Z.pow_add_r by (specialize (N t I); nia). ring.
Qed.

(** ** The lanes that are left, added up *)

Definition light (t : list (nat * Z) * Z) : Z := weight_along (fst t) * one_if (snd t <=? steps).

Lemma terms_split : forall l, (forall t, In t l -> 0 <= snd t /\ 0 <= weight_along (fst t)) ->
  exists small large k, let n := add_up (map light l) in
    add_up (map term l) = small + modulus * large /\ small = n + (2 ^ w - 1) * k /\ 0 <= small <= n * 2 ^ (w * steps).
Proof.
  induction l as [|t l IH]; intros natural; cbn zeta; cbn [map add_up].
  - exists 0, 0, 0. rewrite !Z.mul_0_r. repeat split; lia.
  - destruct IH as (small & large & k & E & C & S); [intros; apply natural; now right|]. rewrite E. clear E.
    destruct (natural t ltac:(now left)) as [N W]. unfold light at 1 3, term at 1, one_if. destruct (Z.leb_spec (snd t) steps) as [L|L].
    + assert (one : exists k', 2 ^ (w * snd t) = 1 + (2 ^ w - 1) * k').
      { rewrite Z.pow_mul_r by lia. revert N. generalize (snd t). intros n N. pattern n. apply natlike_ind; [| |exact N].
        - exists 0. rewrite Z.pow_0_r. ring.
        - intros i I (k' & E). exists (k' * 2 ^ w + 1). rewrite Z.pow_succ_r, E by assumption. ring. }
      destruct one as (k' & O).
      assert (2 ^ (w * snd t) <= 2 ^ (w * steps)) by (apply Z.pow_le_mono_r; nia).
      assert (0 < 2 ^ (w * snd t)) by (apply Z.pow_pos_nonneg; nia).
      exists (weight_along (fst t) * 2 ^ (w * snd t) + small), large, (k + weight_along (fst t) * k').
      split; [lia|]. split; [rewrite O, C; ring | nia].
    + exists small, (large + weight_along (fst t) * 2 ^ (w * (snd t - (steps + 1)))), k.
      split; [|split; [rewrite C; ring | lia]].
      replace (w * snd t) with (w * (steps + 1) + w * (snd t - (steps + 1))) by ring. rewrite Z.pow_add_r by nia. ring.
Qed.

Lemma lanes_added : forall ls p s, (forall a, In a (paths ls s) -> 0 <= weight_along a) ->
  add_up (map light (traces p ls s)) < 2 ^ w - 1 ->
  nth s (lanes_from steps allowance w (look T p ls)) 0 mod Z.ones w = add_up (map light (traces p ls s)).
Proof.
  intros ls p s natural few. destruct (lanes_right ls p s) as [[k E] small].
  destruct (terms_split (traces p ls s)) as (x & large & k' & E' & C & S).
  { intros t I. split; [now apply traces_right in I|]. apply natural. rewrite <- (traces_paths ls p). now apply in_map. }
  cbn zeta in *. rewrite E'  in E. set (n := add_up (map light _)) in *.
  assert (P : 0 < 2 ^ (w * steps)) by (apply Z.pow_pos_nonneg; nia).
  assert (big : modulus = 2 ^ w * 2 ^ (w * steps)) by (rewrite <- Z.pow_add_r by nia; f_equal; lia).
  assert (x < modulus) by (rewrite big; set (y := 2 ^ (w * steps)) in *; nia).
  assert (V : nth s (lanes_from steps allowance w (look T p ls)) 0 = x).
  { rewrite <- (Z.mod_small _ modulus small), E.
    replace (x + modulus * large + modulus * k) with (x + (large + k) * modulus) by ring. rewrite Z_mod_plus_full. apply Z.mod_small. lia. }
  rewrite V, C, Z.ones_equiv. replace (Z.pred (2 ^ w)) with (2 ^ w - 1) by lia.
  replace (n + (2 ^ w - 1) * k') with (n + k' * (2 ^ w - 1)) by ring. rewrite Z_mod_plus_full. apply Z.mod_small. split; [|assumption].
  unfold n. assert (G : forall l, (forall t, In t l -> 0 <= weight_along (fst t)) -> 0 <= add_up (map light l)).
  { induction l as [|t l IH]; intros all; cbn [map add_up]; [lia|]. pose proof (all t ltac:(now left)).
    specialize (IH ltac:(intros; apply all; now right)). unfold light at 1, one_if. destruct (_ <=? _); lia. }
  apply G. intros t I. apply natural. rewrite <- (traces_paths ls p). now apply in_map.
Qed.
End Sound.

Section Region.
Variables (r : nat) (c : choices) (groups : list group).
Hypothesis r_small : (r < length c)%nat.
Hypothesis weights_positive : positive c.

Theorem reaching_upper : forall rg T steps, In rg (regions_of r c groups) -> 0 <= steps ->
  weigh (fun x => member r rg x && (0 <=? along T 0 x)) c <= reaching (layers rg) T (weight_of (layers rg)) steps.
Proof.
  intros rg T steps R natural. set (ls := layers rg). set (W := weight_of ls).
  transitivity (add_up (map (fun a => weight_along a * one_if (0 <=? along T 0 (map fst a))) (paths ls 0))).
  { unfold ls. rewrite (sum_over_region r c groups r_small rg (fun x => one_if (0 <=? along T 0 x)) R). apply Z.eq_le_incl.
    apply sum_of_ext. intros x _. now destruct (member r rg x). }
  assert (P : forall a, In a (paths ls 0) -> 0 < weight_along a).
  { intros a I. destruct (regions_right r c groups rg R) as (_ & _ & B). apply (Permutation_in _ B) in I. unfold leading in I.
    apply filter_In in I. destruct I as [I _]. revert I. apply weight_along_positive. now apply restrict_positive. }
  unfold reaching. set (allowance := nth 0 (best_after (look T 0 ls)) 0).
  assert (top : forall a, In a (paths ls 0) -> along T 0 (map fst a) <= allowance).
  { intros a I. rewrite <- (traces_paths T 0 0 ls 0) in I. rewrite in_map_iff in I. destruct I as (t & <- & I).
    apply traces_right in I; lia. }
  destruct (Z.ltb_spec allowance 0) as [none|some].
  - clear P. induction (paths ls 0) as [|a l IH]; [reflexivity|]. cbn [map add_up].
    specialize (IH ltac:(intros; apply top; now right)). specialize (top a ltac:(now left)). unfold one_if at 1.
    destruct (Z.leb_spec 0 (along T 0 (map fst a))); lia.
  - assert (total : W = add_up (map weight_along (paths ls 0))) by (unfold W, weight_of; now rewrite weights_from_right).
    assert (P' : forall t, In t (traces T steps allowance 0 ls 0) -> 0 < weight_along (fst t)).
    { intros t I. apply P. rewrite <- (traces_paths T steps allowance ls 0). now apply in_map. }
    assert (few : add_up (map (light steps) (traces T steps allowance 0 ls 0)) <= W).
    { rewrite total, <- (traces_paths T steps allowance ls 0), map_map. apply add_up_le. intros t I. specialize (P' t I).
      unfold light, one_if. destruct (_ <=? _); lia. }
    cbv zeta. rewrite lanes_added; try assumption.
    + rewrite <- (traces_paths T steps allowance ls 0), map_map. apply add_up_le. intros t I. specialize (P' t I).
      destruct (traces_right T steps allowance natural some ls 0 0 t I) as [N L]. fold allowance in L. unfold light, one_if.
      destruct (Z.leb_spec 0 (along T 0 (map fst (fst t)))); destruct (Z.leb_spec (snd t) steps); nia.
    + pose proof (Z.log2_nonneg W). lia.
    + intros a I. specialize (P a I). lia.
    + apply Z.le_lt_trans with (1 := few). pose proof (Z.log2_nonneg W) as G. destruct (Z.le_gt_cases W 0) as [Z0|pos].
      * assert (1 < 2 ^ (Z.log2 W + 2)) by (apply Z.pow_gt_1; lia). lia.
      * destruct (Z.log2_spec W pos) as [_ H]. replace (Z.log2 W + 2) with (Z.succ (Z.log2 W) + 1) by lia.
        rewrite Z.pow_add_r by lia. change (2 ^ 1) with 2. lia.
Qed.
End Region.
